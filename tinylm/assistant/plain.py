"""The model under an assistant, without its practice: what fine-tuning has added is seen when it is
taken away.

    model, tokenizer, recipe = load_model(without_practice(run))
    plain = Plain(model, tokenizer, continuation(recipe.corpus.document_token))
    for event in plain.reply("Where is order 4711?"):
        print(event.text)

It answers by the interface of `runtime.Assistant`, from its weights alone: it sees no document and
calls no tool. A story model knows no turns: it takes the message for the beginning of a text and
continues it. A model with a chat template, such as SmolLM2, was taught by its makers to answer; it
also sees what was said before.
"""

from collections.abc import Callable, Iterator

from tinylm.assistant.conversation import CALL
from tinylm.assistant.runtime import Event
from tinylm.config import Sampling
from tinylm.generation import Request, continue_text
from tinylm.model.gpt import GPT
from tinylm.runs import Run
from tinylm.text.tokenizer_files import load_tokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.parents import parent_of

LONGEST = 60  # tokens of a continuation, which need not come to an end by itself
SAMPLING = Sampling(temperature=0.5, top_p=0.9)  # cool: the model's best, with a little variety
Turn = dict[str, str]  # role (user or assistant) and content, as chat templates take them


class Plain:
    """A conversation with a model as it is. `request` turns the messages so far, the user's last,
    into what is generated, and takes those out that are to be forgotten."""

    proposed = None  # it calls nothing, so nothing waits for a yes

    def __init__(
        self, model: GPT, tokenizer: Tokenizer, request: Callable[[list[Turn]], Request]
    ) -> None:
        self.model, self.tokenizer, self.request = model, tokenizer, request
        self.turns: list[Turn] = []

    def reply(self, message: str) -> Iterator[Event]:
        """What the model writes, piece by piece; ValueError where the message does not fit."""
        asked = [*self.turns, {"role": "user", "content": message}]
        answer = ""
        for (row,) in continue_text(self.model, self.tokenizer, self.request(asked)):
            yield Event("answer", row.text[len(answer) :])
            answer = row.text
        self.turns = [*asked, {"role": "assistant", "content": answer}]


def continuation(document_token: bool) -> Callable[[list[Turn]], Request]:
    """The last message as the beginning of a text; each turn draws from a seed of its own."""
    begin = DOCUMENT if document_token else None

    def request(turns: list[Turn]) -> Request:
        return Request(turns[-1]["content"], LONGEST, SAMPLING, seed=len(turns), begin=begin)

    return request


def without_practice(run: Run) -> Run | None:
    """The nearest run under an assistant that knows no calls; None where there is none.

    ValueError where it is missing or has changed since.
    """
    while run.manifest["parent"]:
        run = parent_of(run)
        if CALL not in load_tokenizer(run.path("model/tokenizer.json")).specials:
            return run
    return None
