"""GGUF files out: what is written comes back as the same model, tokenizer and conversation."""

import pytest
import torch

from tests.conftest import train_run
from tests.formats.strings import varied_texts
from tests.formats.test_folders import fine_tune
from tests.formats.test_gguf import TEMPLATE, family_run
from tinylm import cli
from tinylm.config import LoraConfig
from tinylm.formats.folders import import_folder
from tinylm.formats.gguf import halves_apart, read_gguf
from tinylm.formats.gguf_export import export_gguf, neighbours
from tinylm.formats.gguf_vocabulary import gguf_vocabulary
from tinylm.runs import temporary
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer
from tinylm.training.load import chat_template, load_model

gguf = pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

STORIES = {
    "corpus": {"separator": "\n\n", "document_token": True},
    "tokenizer": {"kind": "bpe", "vocab_size": 300},
    "model": {"mlp": "swiglu", "kv_heads": 1, "context": 32, "width": 32, "embedding_scale": 3.0},
}


@pytest.fixture(scope="module")
def own(tmp_path_factory, text_file):
    return train_run(tmp_path_factory.mktemp("own") / "base", text_file, **STORIES)


def metadata(file) -> dict:
    return {name: field.contents() for name, field in gguf.GGUFReader(file).fields.items()}


def there_and_back(run, folder, kind="f32"):
    return import_folder(export_gguf(run, folder / "out.gguf", kind), folder / "back")


def farthest(run, other) -> float:
    """The largest difference between the logits of two runs."""
    model = load_model(run).model
    ids = torch.randint(
        model.config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(1)
    )
    return (load_model(other).model(ids) - model(ids)).abs().max().item()


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qwen3", "llama", "llama with biases", "gpt2"])
def test_every_family_comes_back_as_the_same_model(tmp_path, kind):
    run = family_run(tmp_path, kind)
    again = there_and_back(run, tmp_path)
    assert farthest(run, again) < 1e-5
    assert again.model_config.bias == run.model_config.bias
    assert chat_template(again) == TEMPLATE


def test_a_trained_run_comes_back_with_its_tokenizer_and_its_document_token(tmp_path, own):
    again = there_and_back(own, tmp_path)
    assert farthest(own, again) < 1e-5
    assert again.recipe.corpus.document_token
    ours, theirs = load_model(own).tokenizer, load_model(again).tokenizer
    assert theirs.special_id(DOCUMENT) == ours.special_id(DOCUMENT)
    for text in [*varied_texts(500), f"{DOCUMENT} is text"]:
        assert theirs.encode(text) == ours.encode(text)
        assert theirs.decode(theirs.encode(text)) == text


def test_a_lora_run_is_written_merged(tmp_path, text_file, own):
    train = {"learning_rate": 0.05, "steps": 20}
    lora = LoraConfig(rank=2, targets=("q", "k", "o", "up"))
    run = fine_tune(tmp_path / "lora", text_file, own, start_from="", lora=lora, train=train)
    again = there_and_back(run, tmp_path)
    assert farthest(run, again) < 1e-5 < farthest(own, again)


def test_characters_come_back(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, model={"mlp": "swiglu"})
    again = there_and_back(run, tmp_path)
    assert farthest(run, again) < 1e-5
    assert not again.recipe.corpus.document_token
    ours, theirs = load_model(run).tokenizer, load_model(again).tokenizer
    texts = varied_texts(500)
    assert [theirs.encode(text) for text in texts] == [ours.encode(text) for text in texts]


@pytest.mark.parametrize("kind, share, off", [("f16", 0.55, 1e-3), ("q8_0", 0.35, 2e-2)])
def test_rounded_files_are_smaller_and_close(tmp_path, own, kind, share, off):
    whole, rounded = (export_gguf(own, tmp_path / f"{k}.gguf", k) for k in ("f32", kind))
    exact, close = read_gguf(whole).weights, read_gguf(rounded).weights
    for name, weight in exact.items():
        assert (close[name] - weight).abs().max() <= off * weight.abs().max(), name
        assert weight.ndim == 2 or torch.equal(close[name], weight), name
    sizes = [sum(t.n_bytes for t in gguf.GGUFReader(file).tensors) for file in (whole, rounded)]
    assert sizes[1] < share * sizes[0]


def test_a_matrix_that_has_no_blocks_of_32_is_kept_in_16_bits(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, model={"mlp": "swiglu", "mlp_width": 48})
    file = export_gguf(run, tmp_path / "m.gguf", "q8_0")  # rows of 16 and of 48 numbers
    kinds = {t.tensor_type.name for t in gguf.GGUFReader(file).tensors if len(t.shape) == 2}
    assert kinds == {"F16"}


def test_rows_are_permuted_as_they_are_put_back():
    rows = torch.arange(48.0).reshape(24, 2).numpy()
    assert (halves_apart(neighbours(rows, 3), 3) == rows).all()


# -- what the file says ---------------------------------------------------------------------------


def test_the_file_says_how_texts_begin_and_end(tmp_path, own, text_file):
    known = metadata(export_gguf(own, tmp_path / "own.gguf"))
    document = load_model(own).tokenizer.special_id(DOCUMENT)
    assert known["tokenizer.ggml.add_bos_token"] is True
    assert known["tokenizer.ggml.bos_token_id"] == known["tokenizer.ggml.eos_token_id"] == document
    plain = train_run(tmp_path / "plain", text_file, model={"mlp": "swiglu"})
    known, tokenizer = (
        metadata(export_gguf(plain, tmp_path / "m.gguf")),
        load_model(plain).tokenizer,
    )
    assert known["tokenizer.ggml.add_bos_token"] is False
    # A byte that no text contains, so that llama.cpp takes no letter for the end.
    assert tokenizer.token_bytes(known["tokenizer.ggml.eos_token_id"]) == b"\xff"


def test_a_conversation_ends_with_the_turn(tmp_path):
    known = metadata(export_gguf(family_run(tmp_path, "llama"), tmp_path / "out.gguf"))
    assert known["tokenizer.chat_template"] == TEMPLATE
    assert known["tokenizer.ggml.tokens"][known["tokenizer.ggml.eos_token_id"]] == "<|im_end|>"


# -- refusals -------------------------------------------------------------------------------------


def refusal(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["export", *map(str, arguments)])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_shape_that_llama_cpp_cannot_run_is_one_line_and_no_file(tmp_path, base_run, capsys):
    line = refusal(capsys, base_run.folder, "--to", "gguf", "--out", tmp_path / "m.gguf")
    assert "relu2" in line and "swiglu" in line and not any(tmp_path.iterdir())


def test_a_tokenizer_that_llama_cpp_cannot_run_is_refused():
    with pytest.raises(ValueError, match="U\\+2581"):
        gguf_vocabulary(CharTokenizer("ab▁"))


def test_only_gguf_files_are_replaced(tmp_path, own, capsys):
    notes = tmp_path / "notes.txt"
    notes.write_text("mine", encoding="utf-8")
    assert "no GGUF file" in refusal(capsys, own.folder, "--to", "gguf", "--out", notes)
    assert "is a folder" in refusal(capsys, own.folder, "--to", "gguf", "--out", tmp_path)
    assert notes.read_text(encoding="utf-8") == "mine"
    for _ in range(2):
        cli.main(["export", str(own.folder), "--to", "gguf", "--out", str(tmp_path / "m.gguf")])


def test_an_export_that_fails_leaves_the_older_file_whole(tmp_path, own, monkeypatch):
    file = export_gguf(own, tmp_path / "m.gguf")
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)
    with pytest.raises(OSError, match="No space"):
        export_gguf(own, file, "f16")
    assert file.read_bytes() == before and not temporary(file).exists()


def test_the_type_belongs_to_gguf(tmp_path, own, capsys):
    line = refusal(capsys, own.folder, "--to", "hf", "--type", "f16", "--out", tmp_path / "hf")
    assert "--type" in line and not (tmp_path / "hf").exists()


def test_one_run_makes_one_file(tmp_path, own, capsys):
    runs = [own.folder, own.folder]
    assert "one run" in refusal(capsys, *runs, "--to", "gguf", "--out", tmp_path / "m.gguf")
