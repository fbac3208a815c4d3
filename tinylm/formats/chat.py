"""Conversations with imported models: messages written down in the format that a model was made
for.

A chat template is a Jinja program that a model's makers ship with it. It runs in Jinja's sandbox,
as in transformers, which has no way to files or modules. The special tokens in what it writes are
the program's. A user's message is encoded as text, so that nobody can forge the end of a turn by
typing its name.
"""

from dataclasses import replace
from typing import Any

from tinylm.generation import Request
from tinylm.runs import Run
from tinylm.text.tokenizer_files import encode_marked
from tinylm.text.tokenizers import DOCUMENT, Tokenizer
from tinylm.training.load import chat_template

# A sign of Unicode's private use area: no template and no model has a meaning for it.
SLOT = "\ue000"
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "</s>", "<|endoftext|>")


def chat_request(run: Run, tokenizer: Tokenizer, message: str, request: Request) -> Request:
    """The request with a conversation of one message for its prompt; it ends with the turn.

    ValueError where the run has no chat template.
    """
    template = template_of(run)
    ids = conversation_ids(template, tokenizer, [{"role": "user", "content": message}])
    end = end_of_turn(tokenizer) or request.begin
    return replace(request, prompt=message, ids=tuple(ids), begin=end)


def prompt_request(run: Run, tokenizer: Tokenizer, request: Request) -> Request:
    """The request of a plain prompt, which ends with the turn where the model was made for
    conversations and no token begins its documents."""
    end = end_of_turn(tokenizer)
    if request.begin is not None or end is None or not request.prompt or not chat_template(run):
        return request
    return replace(request, ids=tuple(tokenizer.encode(request.prompt)), begin=end)


def template_of(run: Run) -> str:
    """The chat template of a run; ValueError where it has none."""
    template = chat_template(run)
    if template is None:
        raise ValueError(f"{run.folder} has no chat template: give a --prompt to continue")
    return template


def end_of_turn(tokenizer: Tokenizer) -> str | None:
    """The special token that ends a turn; None where the tokenizer has none."""
    return next((name for name in TURN_ENDS if name in tokenizer.specials), None)


def recent_turns(
    template: str, tokenizer: Tokenizer, messages: list[dict[str, str]], room: int
) -> tuple[list[int], int]:
    """The ids of as much of a conversation as fits into `room` tokens, and how many of its oldest
    messages are left out.

    A question leaves together with its answer, so that the user always speaks first. ValueError
    where the last message alone does not fit.
    """
    for dropped in range(0, len(messages), 2):
        ids = conversation_ids(template, tokenizer, messages[dropped:])
        if len(ids) <= room:
            return ids, dropped
    raise ValueError(f"the message has more than the {room} tokens that the model can read")


def conversation_ids(
    template: str, tokenizer: Tokenizer, messages: list[dict[str, str]]
) -> list[int]:
    """The ids of a conversation, up to where the model's answer begins.

    The template is filled with a slot in place of each message. What stands around the slots is the
    program's and may hold special tokens; what goes into them is text.
    """
    slots = [{**message, "content": SLOT} for message in messages]
    around = render(template, slots, tokenizer).split(SLOT)
    if len(around) != len(messages) + 1:
        raise ValueError("the chat template does not show every message once")
    ids = encode_marked(tokenizer, around[0])
    for message, after in zip(messages, around[1:]):
        ids += tokenizer.encode(message["content"]) + encode_marked(tokenizer, after)
    return ids


def begin_name(tokenizer: Tokenizer) -> str:
    """The model's own name for the token that texts begin with; "" where it has none.

    Templates such as Llama 3's write it at the start of a conversation.
    """
    begin = tokenizer.special_ids.get(DOCUMENT)
    names = [name for name, id in tokenizer.special_ids.items() if id == begin]
    return next((name for name in names if name != DOCUMENT), "")


def render(template: str, messages: list[dict[str, str]], tokenizer: Tokenizer) -> str:
    """The conversation as the template writes it; ValueError where it fails."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(reason: str) -> None:
        raise ValueError(f"the chat template says: {reason}")

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    values: dict[str, Any] = {"messages": messages, "add_generation_prompt": True}
    values |= {"bos_token": begin_name(tokenizer), "eos_token": "", "raise_exception": refuse}
    try:
        return environment.from_string(template).render(**values)
    except TemplateError as error:
        raise ValueError(f"the chat template cannot be filled in: {error}") from None
