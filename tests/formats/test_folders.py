"""Folders that `transformers`, `tokenizers` and `peft` open, and folders of theirs opened here."""

import itertools
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_recipe, train_run
from tests.test_cli import called
from tinylm.assistant.conversation import ROLES
from tinylm.assistant.training import prepared
from tinylm.config import LoraConfig, ModelConfig, Sampling
from tinylm.evaluation.likelihood import measure
from tinylm.formats.folders import export_run, import_folder
from tinylm.formats.tokenizer_json import from_library, to_library
from tinylm.generation import Request, generate
from tinylm.model.device import choose_compute
from tinylm.recipes import load_recipe
from tinylm.runs import open_run
from tinylm.text.bpe_training import train_bpe_tokenizer
from tinylm.text.tokenizer_files import (
    encode_marked,
    load_tokenizer,
    save_tokenizer,
    tokenizer_from_dict,
)
from tinylm.text.tokenizers import DOCUMENT, CharTokenizer, StreamDecoder
from tinylm.training.load import load_model, token_file
from tinylm.training.start import start_run

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

MANY = (
    "the net and the sea. Zoë's naïve café — 12½ kg für 3€!\n\n\tdéjà-vu, Ελλάδα και море: "
    "東京 日本語 "
    "👩‍🚀 नमस्ते عربى"
)
FIELDS = {
    "corpus": {"separator": "\n\n", "document_token": True},
    "tokenizer": {"kind": "bpe", "vocab_size": 300},
    "model": {"mlp": "swiglu", "heads": 2, "kv_heads": 1, "context": 32},
}


def library_of(tokenizer) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(to_library(tokenizer)))


def fine_tune(folder, text, parent, **fields):
    """A tiny recipe that leaves the shape to its parent, trained to its end."""
    recipe = tiny_recipe(text, **fields).model_copy(
        update={"model": ModelConfig(), "start_from": str(parent.folder)}
    )
    for _ in start_run(recipe, folder).run():
        pass
    return open_run(folder)


# -- export ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory, text_file):
    return train_run(tmp_path_factory.mktemp("own") / "base", text_file, **FIELDS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, own):
    folder = tmp_path_factory.mktemp("exported folder with ü") / "hf"
    export_run(own, folder)
    return folder


def logits_of(folder, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()(ids).logits


def test_an_exported_run_says_the_same_in_transformers(own, exported):
    model, tokenizer, _ = load_model(own)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(exported).eval()
    reader = transformers.AutoTokenizer.from_pretrained(exported)
    assert type(theirs).__name__ == "Qwen3ForCausalLM"
    prompt = reader(f"{DOCUMENT}the old ", return_tensors="pt")
    assert prompt.input_ids[0].tolist() == [
        tokenizer.special_id(DOCUMENT),
        *tokenizer.encode("the old "),
    ]
    new = theirs.generate(**prompt, do_sample=False, max_new_tokens=20)[
        0, prompt.input_ids.shape[1] :
    ]
    sampling = own.recipe.sample.sampling.model_copy(update={"temperature": 0.0})
    ours = generate(model, tokenizer, Request("the old ", 20, sampling, begin=DOCUMENT))[0].text
    assert reader.decode(new, skip_special_tokens=True) == ours


def test_an_exported_run_has_the_same_perplexity_to_four_digits(own, exported):
    model, tokenizer, _ = load_model(own)
    ids = token_file(own, "valid")[:33]
    # one document
    ids = ids[: max(2, 1 + int((ids[1:] == ids[0]).argmax()))] if (ids[1:] == ids[0]).any() else ids
    ours = math.exp(measure(model, ids, tokenizer, choose_compute("cpu", "fp32")).nats_per_token)
    window = torch.tensor(ids.astype("int64"))[None]
    with torch.no_grad():
        theirs = (
            transformers.AutoModelForCausalLM.from_pretrained(exported)(window, labels=window)
            .loss.exp()
            .item()
        )
    assert f"{theirs:.4g}" == f"{ours:.4g}"


def test_the_folder_tells_how_to_sample_and_where_it_comes_from(own, exported):
    generation = transformers.GenerationConfig.from_pretrained(exported)
    begin = load_model(own).tokenizer.special_id(DOCUMENT)
    assert (generation.temperature, generation.top_k, generation.eos_token_id) == (0.8, 0, begin)
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert (
        own.manifest["corpus_sha256"] in card and "Qwen3ForCausalLM" in card and "6 steps" in card
    )
    assert f"{own.manifest['best']['bits_per_byte']:.4f}" in card and DOCUMENT in card


def test_a_lora_run_becomes_an_adapter_that_peft_merges_to_our_model(tmp_path, text_file, own):
    peft = pytest.importorskip("peft")
    lora, train = (
        LoraConfig(rank=2, targets=("q", "o", "gate")),
        {"learning_rate": 0.01, "steps": 30},
    )
    # new to the base, so that the best weights are not those of step 0
    other = tmp_path / "other.txt"
    other.write_text("abc " * 3000, encoding="utf-8")
    run = fine_tune(tmp_path / "lora", other, own, start_from="", lora=lora, train=train)
    export_run(run, tmp_path / "hf")
    ids = torch.arange(30)[None]
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf" / "base")
    adapted = peft.PeftModel.from_pretrained(base, tmp_path / "hf").merge_and_unload().eval()
    with torch.no_grad():
        ours = load_model(run).model(ids)
        assert torch.allclose(adapted(ids).logits, ours, atol=1e-5)
        assert not torch.allclose(load_model(own).model(ids), ours, atol=1e-3)
    # transformers finds the base by itself
    assert torch.allclose(logits_of(tmp_path / "hf", ids), ours, atol=1e-5)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")("the").input_ids


@pytest.mark.long
def test_the_demos_models_say_the_same_in_transformers(tmp_path, capsys):
    """Of the full demo, made before: TINYLM_DEMO=runs/demo python -m pytest -m long -s
    tests/test_exchange.py."""
    demo = Path(os.environ.get("TINYLM_DEMO", "runs/demo")).absolute()
    if not demo.is_dir():
        pytest.skip(f"there is no {demo}: tinylm demo makes it")
    for name in ("base", "verse"):
        run = open_run(demo / name)
        export_run(run, tmp_path / name)
        model, tokenizer, _ = load_model(run)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / name).eval()
        reader = transformers.AutoTokenizer.from_pretrained(tmp_path / name)
        for prompt in ("Mara the net-mender", "The tide"):
            start = reader(f"{DOCUMENT}{prompt}", return_tensors="pt")
            new = theirs.generate(
                **start, do_sample=False, max_new_tokens=64, repetition_penalty=1.0
            )
            text = reader.decode(new[0, start.input_ids.shape[1] :], skip_special_tokens=True)
            request = Request(prompt, 64, Sampling(temperature=0), begin=DOCUMENT)
            assert text == generate(model, tokenizer, request)[0].text
        ids = np.array(token_file(run, "valid")[:20_000]).astype("int64")
        starts = [*np.flatnonzero(ids == ids[0]), len(ids)]
        nats, ours, count = 0.0, 0.0, 0
        # a document at a time: both see exactly the same context
        for begin, end in itertools.pairwise(starts):
            if 2 <= end - begin <= model.config.context:
                window = torch.tensor(ids[begin:end])[None]
                with torch.no_grad():
                    nats += theirs(window, labels=window).loss.item() * (end - begin - 1)
                ours += measure(
                    model, ids[begin:end], tokenizer, choose_compute("cpu", "fp32")
                ).nats
                count += int(end - begin - 1)
        perplexities = [math.exp(total / count) for total in (ours, nats)]
        with capsys.disabled():
            print(f"\n{name}: perplexity here and in transformers {perplexities}, {count} tokens")
        assert f"{perplexities[0]:.4g}" == f"{perplexities[1]:.4g}"


@pytest.mark.long
def test_an_adapter_of_the_demos_base_is_merged_by_peft_to_our_model(tmp_path, capsys):
    peft = pytest.importorskip("peft")
    demo = Path(os.environ.get("TINYLM_DEMO", "runs/demo")).absolute()
    if not demo.is_dir():
        pytest.skip(f"there is no {demo}: tinylm demo makes it")
    fields = {
        "start_from": str(demo / "base"),
        "lora.rank": "8",
        "train.steps": "10",
        "train.evaluate_every": "10",
    }
    for _ in start_run(load_recipe("demo-verse", fields), tmp_path / "lora").run():
        pass
    run = open_run(tmp_path / "lora")
    export_run(run, tmp_path / "hf")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf" / "base")
    merged = peft.PeftModel.from_pretrained(base, tmp_path / "hf").merge_and_unload().eval()
    ids = torch.tensor(token_file(run, "valid")[:256].astype("int64"))[None]
    with torch.no_grad():
        ours, before = load_model(run).model(ids), load_model(open_run(demo / "base")).model(ids)
        apart, moved = (
            (ours - other).abs().max() / ours.abs().max() for other in (merged(ids).logits, before)
        )
    with capsys.disabled():
        print(f"\nlogits of the merged adapter: {apart:.1e} apart; {moved:.1e} from the base's")
    assert apart < 1e-5 and moved > 1e-3


def test_what_cannot_be_exported_is_refused_before_a_file_is_written(tmp_path, text_file):
    run = train_run(tmp_path / "run", text_file, model={"mlp": "gelu"})
    with pytest.raises(ValueError, match=r"model\.mlp = 'gelu'"):
        export_run(run, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
    with pytest.raises(ValueError, match="exists"):
        export_run(run, tmp_path / "run")


# -- tokenizers -----------------------------------------------------------------------------------

SIGNS = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from([*"aaatthhee   \n\n\t'sl\x1c\x85\xa0\u2028\u3000é́½²Ⅻ़"]),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text(SIGNS), min_size=50, max_size=50))  # 10,000 texts
@example([DOCUMENT])
def test_ten_thousand_texts_encode_alike_in_the_tokenizers_library(texts):
    for ours, theirs in PAIRS:
        for text, found in zip(texts, theirs.encode_batch(texts, add_special_tokens=False)):
            assert found.ids == ours.encode(text), repr(text)


OURS = (train_bpe_tokenizer([MANY * 3], 370, [DOCUMENT]), CharTokenizer.train([MANY], [DOCUMENT]))
PAIRS = [(tokenizer, library_of(tokenizer)) for tokenizer in OURS]
for _, theirs in PAIRS:
    # The name of a special token in a text is text for us; the library has to be told.
    theirs.encode_special_tokens = True


@pytest.mark.parametrize("ours", OURS)
def test_the_library_decodes_what_it_encodes_and_comes_back_as_a_tokenizer(ours):
    assert library_of(ours).decode(ours.encode(MANY)) == MANY
    back = from_library(json.dumps(to_library(ours)), ours.vocab_size + 7)
    assert back.encode(MANY) == ours.encode(MANY) and back.decode(back.encode(MANY)) == MANY
    assert back.bytes_per_token().tolist() == [*ours.bytes_per_token().tolist(), *[0] * 7]
    assert back.special_id(DOCUMENT) == ours.special_id(DOCUMENT)
    assert encode_marked(back, f"a{DOCUMENT}") == [*ours.encode("a"), ours.special_id(DOCUMENT)]
    assert ours.special_id(DOCUMENT) not in back.encode(f"a{DOCUMENT}")  # a name in a text is text
    assert to_library(back) == to_library(ours)


def test_a_library_tokenizer_travels_as_json_and_decodes_as_a_stream(tmp_path):
    ours = from_library(json.dumps(to_library(OURS[0])), OURS[0].vocab_size)
    save_tokenizer(ours, tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again.fingerprint() == ours.fingerprint()
    decoder = StreamDecoder(again)
    assert "".join(map(decoder.push, again.encode(MANY))) + decoder.flush() == MANY
    with pytest.raises(ValueError, match="cannot read it"):
        tokenizer_from_dict({**ours.to_dict(), "library": "{}"})
    with pytest.raises(ValueError, match="lone surrogate"):
        again.encode("\ud800")


# -- import ---------------------------------------------------------------------------------------


def byte_level(size: int) -> tokenizers.Tokenizer:
    """A tokenizer as GPT-2's."""
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator(
        [MANY] * 9, size, show_progress=False, special_tokens=["<|endoftext|>"]
    )
    return tokenizers.Tokenizer.from_str(made.to_str())


def sentencepiece(size: int) -> tokenizers.Tokenizer:
    """A tokenizer as Llama 2's: `▁` for blanks, byte fallback, `<s>` before every text."""
    from tokenizers import decoders, models, normalizers, processors, trainers

    made = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    made.train_from_iterator([MANY] * 9, trainer)
    content = json.loads(made.to_str())
    content["added_tokens"] = content["added_tokens"][:3]
    made = tokenizers.Tokenizer.from_str(json.dumps(content))
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return made


def write_theirs(kind: str, folder):
    """A tiny random model with its tokenizer, saved by `transformers`; Llama's in shards."""
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=400,
            n_positions=48,
            n_embd=32,
            n_layer=2,
            n_head=4,
            bos_token_id=0,
            eos_token_id=0,
        )
    else:
        config = transformers.AutoConfig.for_model(
            kind,
            vocab_size=400,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            max_position_embeddings=48,
            tie_word_embeddings=kind == "qwen3",
            bos_token_id=1 if kind == "llama" else None,
            eos_token_id=0,
        )
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder, max_shard_size="40KB" if kind == "llama" else "5GB")
    (sentencepiece if kind == "llama" else byte_level)(380).save(str(folder / "tokenizer.json"))
    return model


@pytest.fixture(scope="module", params=["gpt2", "llama", "qwen3"])
def theirs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs") / request.param
    return folder, write_theirs(request.param, folder)


def test_an_imported_folder_is_a_run_like_any_other(theirs, tmp_path, text_file, monkeypatch):
    folder, model = theirs
    monkeypatch.setitem(sys.modules, "transformers", None)  # not needed for it
    assert folder.name != "llama" or (folder / "model.safetensors.index.json").is_file()
    run = import_folder(folder, tmp_path / "imported")
    loaded = load_model(run)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        ours = loaded.model(ids)
        assert (ours - model(ids).logits).abs().max() < 1e-5 * ours.abs().max()
    reader = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert loaded.tokenizer.encode(MANY) == reader.encode(MANY, add_special_tokens=False).ids
    assert loaded.tokenizer.decode(loaded.tokenizer.encode(MANY)).strip() == MANY
    # which puts <s> before every text
    assert run.recipe.corpus.document_token == (folder.name == "llama")
    assert generate(*loaded[:2], Request("the", 5, begin=DOCUMENT))[0].tokens <= 5
    assert run.records("valid")[0]["bits_per_byte"] == run.manifest["best"]["bits_per_byte"] > 0
    for name, lora in (("tuned", None), ("lora", LoraConfig(rank=2))):
        tuned = fine_tune(
            tmp_path / name, text_file, run, start_from="", lora=lora, corpus=FIELDS["corpus"]
        )
        assert (
            tuned.recipe.corpus.document_token
            and "base_bits_per_byte" in tuned.records("valid")[-1]
        )
        assert load_model(tuned).tokenizer.fingerprint() == loaded.tokenizer.fingerprint()
    with pytest.raises(ValueError):
        import_folder(folder, tmp_path / "imported")


def test_an_imported_run_goes_back_as_it_came(theirs, tmp_path):
    folder, model = theirs
    export_run(import_folder(folder, tmp_path / "run", context=40), tmp_path / "again")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.allclose(logits_of(tmp_path / "again", ids), model(ids).logits, atol=1e-6)
    places = (folder, tmp_path / "again")
    before, after = (json.loads((place / "tokenizer.json").read_text("utf-8")) for place in places)
    assert before == after
    assert (
        json.loads((tmp_path / "again" / "config.json").read_text("utf-8"))["model_type"]
        == folder.name
    )


def test_an_imported_run_and_its_fine_tuned_child_are_compared(tmp_path, text_file, capsys):
    write_theirs("qwen3", tmp_path / "hf")
    called(capsys, "import", tmp_path / "hf", "--out", tmp_path / "base", "--context", "24")
    fine_tune(tmp_path / "child", text_file, open_run(tmp_path / "base"))
    runs = (tmp_path / "base", tmp_path / "child")
    called(capsys, "compare", *runs, "--out", tmp_path / "compared", "--scale", "smoke")
    assert (tmp_path / "compared" / "index.html").is_file()
    called(capsys, "evaluate", tmp_path / "base", "--text", text_file)
    assert called(capsys, "resume", tmp_path / "base", code=2).err.startswith("tinylm: ")


def test_an_imported_run_can_become_an_assistant(tmp_path):
    write_theirs("llama", tmp_path / "hf")
    base = import_folder(tmp_path / "hf", tmp_path / "base")
    before, after = load_model(base), load_model(prepared(base, tmp_path / "prepared"))
    size, ids = before.tokenizer.vocab_size, torch.arange(40)[None]
    assert after.tokenizer.encode(MANY) == before.tokenizer.encode(MANY)
    assert sorted(after.tokenizer.special_id(role) for role in ROLES) == [
        *range(size, size + len(ROLES))
    ]
    with torch.no_grad():
        torch.testing.assert_close(after.model(ids)[..., :size], before.model(ids))


def test_pickles_and_gaps_are_refused_with_what_to_do_and_leave_nothing_behind(tmp_path):
    write_theirs("gpt2", folder := tmp_path / "hf")
    settings = (folder / "config.json").read_text("utf-8")

    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            import_folder(folder, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    (folder / "tokenizer.json").rename(tmp_path / "kept.json")
    refused("tokenizer.json is missing.*save_pretrained")
    (tmp_path / "kept.json").rename(folder / "tokenizer.json")
    (folder / "config.json").write_text(settings.replace("400", "300"), encoding="utf-8")
    refused("weight transformer.wte.weight gives tokens.weight the shape")
    (folder / "config.json").write_text(settings, encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"not weights")
    refused("not a safetensors file")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(r"pickled weights \(.bin\).*save_pretrained")
    (folder / "pytorch_model.bin").unlink()
    refused("model.safetensors is missing")


def test_the_export_command_makes_a_folder_and_names_what_it_lacks(capsys, tmp_path, own):
    out = called(capsys, "export", own.folder, "--to", "hf", "--out", tmp_path / "hf").out
    assert out.strip() == str(tmp_path / "hf") and (tmp_path / "hf" / "model.safetensors").is_file()
    assert (
        "takes one run"
        in called(capsys, "export", own.folder, own.folder, "--out", tmp_path / "x", code=2).err
    )
