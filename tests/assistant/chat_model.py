"""A tokenizer and a model in SmolLM2's chat format, small enough to learn dialogues by heart."""

import json

from tests.assistant.conftest import fitted
from tinylm.assistant.practice import Drill, Reading, encode
from tinylm.assistant.protocol import CHAT_ROLES, END_OF_TEXT, IM_START, ChatTokens
from tinylm.formats.tokenizer_json import byte_signs, from_library
from tinylm.model.gpt import GPT
from tinylm.text.tokenizer_files import LibraryTokenizer

SPECIALS = (END_OF_TEXT, IM_START, *dict.fromkeys(CHAT_ROLES.values()))


def chat_tokenizer() -> LibraryTokenizer:
    """Every byte a token, and SmolLM2's special tokens; <|im_start|> begins documents, as in its
    file."""
    vocabulary = {sign: place for place, sign in enumerate([*SPECIALS, *byte_signs()])}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}  # fmt: skip
    library = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "post_processor": None, "pre_tokenizer": level, "decoder": level,
        "added_tokens": [
            {"id": place, "content": name, "special": True, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False} for place, name in enumerate(SPECIALS)
        ],
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "byte_fallback": False, "vocab": vocabulary, "merges": []},
    }  # fmt: skip
    return from_library(json.dumps(library), len(vocabulary), begin=1)


def learnt(pieces: list[Drill | Reading], context: int = 512) -> tuple[GPT, LibraryTokenizer]:
    """A model that has learnt these pieces of practice to the letter."""
    tokenizer = chat_tokenizer()
    rows = [encode(piece, ChatTokens(tokenizer)) for piece in pieces]
    return fitted(rows, tokenizer.vocab_size, context), tokenizer
