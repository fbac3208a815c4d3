"""A tokenizer and a model in SmolLM2's chat format, small enough to learn dialogues by heart."""

import json

import numpy as np
import torch
import torch.nn.functional as F

from tinylm.assistant.practice import Drill, Reading, encode
from tinylm.assistant.protocol import CHAT_ROLES, END_OF_TEXT, IM_START, ChatTokens
from tinylm.config import ModelConfig
from tinylm.formats.tokenizer_json import byte_signs, from_library
from tinylm.model.gpt import GPT
from tinylm.text.batches import IGNORE
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
    length = max(len(ids) for ids, _ in rows)
    ids = np.zeros((len(rows), length), dtype=np.int64)
    targets = np.full((len(rows), length), IGNORE)
    for row, (tokens, mask) in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        targets[row, : len(tokens)] = np.where(np.array(mask) == 1, tokens, IGNORE)
    shape = {"depth": 2, "width": 48, "heads": 2}
    model = GPT(ModelConfig(vocab_size=tokenizer.vocab_size, context=context, **shape))
    model.initialise(torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    inputs, wanted = torch.from_numpy(ids[:, :-1]), torch.from_numpy(targets[:, 1:])
    for _ in range(300):
        loss = F.cross_entropy(model(inputs).flatten(0, 1), wanted.flatten(), ignore_index=IGNORE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    assert loss.item() < 0.05
    return model, tokenizer
