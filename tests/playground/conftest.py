"""What the playground's tests share: models of the three families, Node and Chromium where they are
there."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import train_run
from tinylm.config import ModelConfig
from tinylm.model.gpt import GPT

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "tinylm" / "playground"
VERSE = """The tide comes in and lays its silver down,
And Mara mends the nets along the wall.
A grey gull cries above the sleeping town,
And over roof and rope the shadows fall."""

FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {
        "norm": "layernorm",
        "position": "learned",
        "mlp": "gelu",
        "bias": True,
        "qk_norm": False,
        "tied": True,
    },
    "llama": {
        "norm": "rmsnorm",
        "position": "rope",
        "mlp": "swiglu",
        "qk_norm": False,
        "kv_heads": 2,
        "tied": False,
        "embedding_scale": 2.5,
    },
    "qwen3": {
        "norm": "rmsnorm",
        "position": "rope",
        "mlp": "relu2",
        "qk_norm": True,
        "kv_heads": 1,
        "head_dim": 6,
    },
}


def family(name: str, vocab_size: int, context: int = 200) -> GPT:
    """A model of one family with every weight drawn at random, large enough that each one
    matters."""
    shape = {"depth": 2, "width": 16, "heads": 4, "mlp_width": 30, **FAMILIES[name]}
    model = GPT(ModelConfig.model_validate({"vocab_size": vocab_size, "context": context, **shape}))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            offset = 1.0 if weight.ndim == 1 else 0.0
            weight.copy_(offset + 0.4 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def in_node(task: str, **fields: Any) -> Any:
    """What the engine answers in Node; the test is skipped where there is no Node."""
    if not (node := shutil.which("node")):
        pytest.skip("node is not installed: the engine's parity is not tested here")
    request = {
        "task": task,
        "sources": [str(SOURCES / "engine.js"), str(SOURCES / "metre.js")],
        **fields,
    }
    told = subprocess.run(
        [node, str(HERE / "engine_in_node.js")],
        input=json.dumps(request),
        capture_output=True,
        encoding="utf-8",
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def as_request(packed) -> dict[str, Any]:
    return {"tensors": packed.entries, "body": base64.b64encode(packed.body).decode()}


@pytest.fixture(scope="session")
def verse_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("verse") / "verse.txt"
    path.write_text("\n\n".join([VERSE] * 30), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def bpe_run(tmp_path_factory, text_file):
    tokenizer = {"kind": "bpe", "vocab_size": 280}
    return train_run(
        tmp_path_factory.mktemp("play") / "base",
        text_file,
        tokenizer=tokenizer,
        model={"context": 40},
    )


@pytest.fixture(scope="session")
def tuned_run(bpe_run, verse_file):
    """A LoRA child of `bpe_run`, on verse, under a name that would be markup if it were not
    text."""
    folder = bpe_run.folder.parent / "<script>alert(1)<"
    parts = {"start_from": str(bpe_run.folder), "lora": {"rank": 2}, "model": {"context": 40}}
    return train_run(folder, verse_file, **parts)
