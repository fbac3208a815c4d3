"""Exported GGUF files in llama.cpp: the same ids for 10,000 texts, the same greedy tokens."""

import unicodedata
from itertools import islice

import pytest
import torch

from tests.conftest import train_run
from tests.formats.llama_cpp import ask_llama_cpp, install_client
from tests.formats.strings import varied_texts
from tests.formats.test_gguf import TOKENS, family_run, random_model, write_gguf
from tests.formats.test_tokenizer_families import long_merges
from tinylm.config import Sampling
from tinylm.corpora.fetch import data_folder
from tinylm.formats.folders import import_folder
from tinylm.formats.gguf_export import export_gguf
from tinylm.formats.gguf_vocabulary import PRE_TOKENIZERS
from tinylm.formats.smollm2 import fetch_smollm2
from tinylm.generation import stream
from tinylm.text.tokenizers import DOCUMENT
from tinylm.training.load import load_model

pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

PROMPTS = [
    "The tide came in and", "Once upon a time there", "The capital of France is the",
    "Mara the net-mender lived", "In the year 2018 the", "She said: \"I am\"",
    "To make bread, you need", "The old house by the", "def add(a, b):\n    return",
    "Why is the sky so blue?",
]  # fmt: skip
WRITTEN = 64


@pytest.fixture(scope="module")
def client():
    return install_client()


def prompt_ids(tokenizer, begins: bool) -> list[list[int]]:
    """The prompts as ids, cut to one length, so that they are one batch here."""
    begin = [tokenizer.special_id(DOCUMENT)] if begins else []
    encoded = [begin + tokenizer.encode(prompt) for prompt in PROMPTS]
    shortest = min(map(len, encoded))
    return [ids[:shortest] for ids in encoded]


def greedy(model, prompts: list[list[int]], tokens: int) -> list[list[int]]:
    """The likeliest continuation of each prompt."""
    generators = [torch.Generator() for _ in prompts]
    steps = islice(stream(model, prompts, Sampling(temperature=0.0), generators), tokens)
    return torch.stack(list(steps), dim=1).tolist()


# -- the demo's shape -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story_run(tmp_path_factory):
    """A run as the demo's base: byte-pair encoding, document token, scaled embeddings."""
    corpus = {"text": "stories", "size": 300_000, "document_token": True}
    shape = {"context": 128, "depth": 2, "width": 64, "heads": 2, "mlp": "swiglu", "mlp_width": 160}
    folder = tmp_path_factory.mktemp("llama") / "stories"
    tokenizer = {"kind": "bpe", "vocab_size": 1024}
    train = {"steps": 60, "batch_size": 8, "learning_rate": 0.01, "evaluate_every": 60}
    sections = {"corpus": corpus, "tokenizer": tokenizer, "train": train}
    return train_run(folder, "stories", model={**shape, "embedding_scale": 8.0}, **sections)


def test_llama_cpp_cuts_ten_thousand_texts_as_a_trained_run_does(client, story_run, tmp_path):
    file, texts = export_gguf(story_run, tmp_path / "m.gguf"), varied_texts(10_000)
    tokenizer = load_model(story_run).tokenizer
    answer = ask_llama_cpp(client, file, tmp_path, texts=texts)
    assert answer["ids"] == [tokenizer.encode(text) for text in texts]
    assert answer["begins"] and answer["begin"] == tokenizer.special_id(DOCUMENT)


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_llama_cpp_writes_the_greedy_tokens_of_a_trained_run(client, story_run, tmp_path, kind):
    file = export_gguf(story_run, tmp_path / "m.gguf", kind)
    model, tokenizer, _ = load_model(import_folder(file, tmp_path / "rounded", context=128))
    prompts = prompt_ids(tokenizer, begins=True)
    answer = ask_llama_cpp(client, file, tmp_path, prompts=prompts, tokens=WRITTEN)
    assert answer["written"] == greedy(model, prompts, WRITTEN)


def test_llama_cpp_cuts_a_text_into_characters_and_never_takes_one_for_the_end(
    client, text_file, tmp_path
):
    run = train_run(tmp_path / "characters", text_file, model={"mlp": "swiglu", "context": 64})
    file, (model, tokenizer, _) = export_gguf(run, tmp_path / "m.gguf"), load_model(run)
    texts = [text for text in varied_texts(10_000) if "▁" not in text]
    prompts = [tokenizer.encode(f"{letter} the ") for letter in "abcdefghij"]
    answer = ask_llama_cpp(client, file, tmp_path, texts=texts, prompts=prompts, tokens=50)
    assert answer["ids"] == [tokenizer.encode(text) for text in texts]
    assert not answer["begins"]
    # Where a file names no end, llama.cpp takes id 2 for it: here a letter.
    assert answer["written"] == greedy(model, prompts, 50)
    assert any(2 in ids for ids in answer["written"]) and answer["ends"] == []


# -- other families -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qwen3", "llama", "llama with biases", "gpt2"])
def test_llama_cpp_writes_the_greedy_tokens_of_every_family(client, tmp_path, kind):
    run = family_run(tmp_path, kind)
    file = export_gguf(run, tmp_path / "out.gguf")
    generator = torch.Generator().manual_seed(3)
    prompts = torch.randint(3, len(TOKENS), (6, 8), generator=generator).tolist()
    answer = ask_llama_cpp(client, file, tmp_path, prompts=prompts, tokens=24)
    assert answer["written"] == greedy(load_model(run).model, prompts, 24)


@pytest.mark.parametrize("pre", [name for name in PRE_TOKENIZERS if name != "default"])
def test_llama_cpp_cuts_words_by_the_pattern_of_that_name(client, tmp_path, pre):
    tokens, merges = long_merges()
    write_gguf(
        tmp_path / "m.gguf", random_model("llama", tokens), "llama", None, (pre, tokens, merges)
    )
    run = import_folder(tmp_path / "m.gguf", tmp_path / "run")
    texts = varied_texts(10_000)
    if pre == "qwen2":  # llama.cpp leaves out Qwen's normaliser, NFC
        texts = [text for text in texts if unicodedata.is_normalized("NFC", text)]
    answer = ask_llama_cpp(client, export_gguf(run, tmp_path / "out.gguf"), tmp_path, texts=texts)
    tokenizer = load_model(run).tokenizer
    assert answer["ids"] == [tokenizer.encode(text) for text in texts]


# -- a foundation model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    try:
        file = fetch_smollm2(data_folder(), print)
    except ValueError as error:
        pytest.skip(str(error))
    return import_folder(file, tmp_path_factory.mktemp("smollm2") / "run", context=256)


@pytest.mark.parametrize("kind", ["f32", pytest.param("f16", marks=pytest.mark.long)])
def test_llama_cpp_writes_the_greedy_tokens_of_smollm2(client, smollm2, tmp_path, kind):
    file = export_gguf(smollm2, tmp_path / "m.gguf", kind)
    model, tokenizer, _ = load_model(smollm2)
    if kind == "f16":
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.half() if weight.ndim == 2 else weight)
    # llama.cpp and the tokenizers library leave out bytes that have no token, in different ways.
    known = {tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)}
    spelt = [
        text for text in varied_texts(10_000) if all(bytes([b]) in known for b in text.encode())
    ]
    prompts = prompt_ids(tokenizer, begins=False)
    answer = ask_llama_cpp(client, file, tmp_path, texts=spelt, prompts=prompts, tokens=WRITTEN)
    assert len(spelt) > 9_000
    assert answer["ids"] == [tokenizer.encode(text) for text in spelt]
    assert answer["written"] == greedy(model, prompts, WRITTEN)
