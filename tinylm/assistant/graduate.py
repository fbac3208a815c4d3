"""The imported model as an assistant: practice with adapters (LoRA), kept once, in its chat format.

    effect      questions about the shipped handbook, of which none is practised on, answered end to
                end word for word; follow-ups; right decisions (`tinylm bench assistant`)
    null        the same model before practice, and the toy
    control     the same practice from random weights of the same shape: what practice alone brings
    seeds       of the practice and the adapters

Measured with one seed (3), of which the 187 steps ran on a GPU in bf16, in one minute: 0.12 nats
per learned token of unseen practice (2.9 before). With search by words: 89 % of 85 questions about
the handbook end to end, 31 of 40 follow-ups. Three seeds and the control were not run.

How sure the model has to be (`ChatTokens.sure`), with the search by meaning. Tried on 24 questions
whose document was taken away, 24 paraphrases for tuning and 12 plain questions:

    at least ... nats likelier than "I don't know."     0     2     4     5     6     8
    not known, and said so, percent                    42    71    83    92    96   100
    plain questions answered right                     92    92    92    92    92    67
    paraphrases answered right                          8     8     8     8     0     0

With 5, on others: 16 of 16 unknown questions admitted, 15 of 20 plain questions (16 where it has to
answer), 1 of 34 paraphrases (6 where it has to answer; the search finds 56 percent among three).
The reader, not the search, is what paraphrases fail at: it has practised no question in words that
its passage does not hold.
"""

from dataclasses import dataclass
from itertools import islice

from tinylm.assistant.fused import FusedIndex
from tinylm.assistant.practice import SHARES, Piece, encode_all, pieces
from tinylm.assistant.protocol import END_OF_TEXT, ChatTokens, protocol_of
from tinylm.assistant.retrieval import Index
from tinylm.assistant.tools import ENOUGH, Parameter, Search, Tool, line
from tinylm.config import CorpusConfig, LoraConfig, Recipe, SampleConfig
from tinylm.runs import Run
from tinylm.text.batches import Batches, Corpus
from tinylm.text.tokenizer_files import LibraryTokenizer
from tinylm.text.tokenizers import DOCUMENT, Tokenizer


@dataclass(frozen=True)
class Size:
    """How much is practised."""

    pieces: int  # of practice; about 100 tokens each
    valid: int  # further ones, kept for validation
    batch: int  # windows of CONTEXT tokens in a step


SIZES = {"smoke": Size(24, 4, 2), "full": Size(1_600, 60, 2)}
# Seconds that a conversation waits for its search. The likelihood reads 20 passages: 1.5 seconds
# on one thread of a busy processor, and more on a slow one.
PATIENCE = 60.0
CONTEXT = 512  # tokens: three passages with a question, or three exchanges with a message


def marked(tokenizer: Tokenizer) -> LibraryTokenizer:
    """The same tokenizer, but that documents begin with <|endoftext|>.

    In an imported file they begin with <|im_start|>, which opens every turn: windows of practice
    would be cut at each.
    """
    if not isinstance(tokenizer, LibraryTokenizer) or END_OF_TEXT not in tokenizer.specials:
        raise ValueError("this model has no chat format with <|endoftext|>: import smollm2")
    ids = tokenizer.special_ids | {DOCUMENT: tokenizer.special_ids[END_OF_TEXT]}
    return LibraryTokenizer(tokenizer.library, tokenizer.to_dict()["pieces"], ids)


def practice(seed: int, size: Size, shares: tuple[tuple[str, int], ...] = SHARES) -> list[Piece]:
    """The pieces of practice of one seed, those for validation last."""
    return list(islice(pieces(seed, shares), size.pieces + size.valid))


def practice_corpus(tokenizer: Tokenizer, drawn: list[Piece], valid: int, name: str) -> Corpus:
    """Pieces of practice as a corpus with masks; the last `valid` are kept for validation."""
    tokenizer = marked(tokenizer)
    tokens = ChatTokens(tokenizer)
    train, train_mask = encode_all(drawn[:-valid], tokenizer, tokens)
    held, held_mask = encode_all(drawn[-valid:], tokenizer, tokens)
    return Corpus(tokenizer, train, held, name, train_mask=train_mask, valid_mask=held_mask)


def practice_recipe(parent: Run, corpus: Corpus, seed: int, size: Size) -> Recipe:
    """Adapters beside the parent's matrices, all of the corpus read once."""
    base, context = parent.recipe, min(CONTEXT, parent.model_config.context)
    windows = len(Batches(corpus, context, size.batch, seed).starts)
    steps = max(1, windows // size.batch)
    train = base.train.model_copy(
        update={
            "steps": steps, "seed": seed, "evaluate_every": steps, "batch_size": size.batch,
            "micro_batch_size": size.batch, "optimizer": "adamw", "learning_rate": 1e-3,
            "weight_decay": 0.0, "warmup": 0.05, "decay": 0.6,
        }
    )  # fmt: skip
    return base.model_copy(
        update={
            "name": "assistant",
            "purpose": "Learn to search, to call tools and to read, in the model's chat format",
            "start_from": str(parent.folder),
            "corpus": CorpusConfig(text="handbook", document_token=True),
            "model": base.model.model_copy(update={"context": context}),
            "lora": LoraConfig(rank=16, alpha=32.0),
            "train": train,
            "sample": SampleConfig(every=steps, prompts=()),
        }
    )  # fmt: skip


# -- the assistant --------------------------------------------------------------------------------


class AskedSearch(Search):
    """The search tool whose call names the question; up to `most` passages, best first.

    Where the index finds by words alone, the best passage must hold ENOUGH of the question, as in
    `Search`. Where it finds by meaning too, the reader alone says what nobody knows.
    """

    most = 3  # near misses of the best stand beside it: the reader decides between them

    def __init__(self, index: Index) -> None:
        super().__init__(index)
        self.enough = 0.0 if isinstance(index, FusedIndex) else ENOUGH

    def find(self, question: str) -> str:
        """The texts of the best passages, a line each; ValueError where the best does not hold
        enough of the question."""
        self.message = question
        self.found = self.index.search(question, self.most)
        if not self.found or self.found[0].share < self.enough:
            self.found = []
            raise ValueError("nothing was found")
        return "\n".join(hit.passage.text for hit in self.found)

    def tool(self) -> Tool:
        """The search as a tool: its argument is a question."""
        asked = (Parameter("question", line(400)),)
        return Tool("search", "finds passages in the documents", asked, self.find,
                    documents=True, seconds=PATIENCE, characters=4000)  # fmt: skip


def search_for(tokenizer: Tokenizer, index: Index) -> Search:
    """The search that a model's way of speaking calls for."""
    return (AskedSearch if protocol_of(tokenizer).rereads else Search)(index)
