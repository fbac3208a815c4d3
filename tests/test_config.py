import pytest

from tinylm.config import ModelConfig, Recipe
from tinylm.recipes import load_recipe, parse_recipe, put, shipped


def mistakes(tree) -> list[str]:
    with pytest.raises(ValueError) as error:
        parse_recipe(tree, where="here")
    return [line.removeprefix("here: ") for line in str(error.value).splitlines()]


def test_all_mistakes_are_listed_at_once_each_with_the_closest_match():
    lines = mistakes(
        {"train": {"stepz": 5, "optimizer": "mion"}, "modle": {}, "model": {"depth": "many"}}
    )
    assert len(lines) == 4
    joined = "\n".join(lines)
    assert 'train.stepz: no such field (did you mean "steps"?)' in joined
    assert "train.optimizer" in joined and 'did you mean "muon"?' in joined
    assert 'modle: no such field (did you mean "model"?)' in joined
    assert "model.depth" in joined and "'many'" in joined


def test_relations_between_fields_are_checked():
    assert (
        "kv_heads = 3 must divide heads = 4" in mistakes({"model": {"heads": 4, "kv_heads": 3}})[0]
    )
    assert "even" in mistakes({"model": {"width": 12, "heads": 4, "head_dim": 3}})[0]
    assert "lora needs start_from" in mistakes({"lora": {"rank": 4}})[0]


@pytest.mark.parametrize("value", ["nan", "inf", -1, 0])
def test_numbers_out_of_range_are_refused(value):
    assert "train.clip" in mistakes({"train": {"clip": value}})[0]


def test_a_recipe_cannot_be_changed_after_it_was_read():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().name = "other"


def test_sizes_left_out_follow_from_the_width_and_are_written_down():
    config = ModelConfig(width=96, heads=6)
    assert (config.kv_heads, config.head_dim, config.mlp_width) == (6, 16, 384)
    assert ModelConfig.model_validate(config.model_dump()) == config


def test_overrides_win_over_the_file_and_are_typed(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[train]\nsteps = 10\n[sample]\nprompts = ["a"]\n', encoding="utf-8")
    fields = {
        "train.steps": "20",
        "lora.rank": "4",
        "start_from": "x",
        "sample.prompts": '["b", "c"]',
    }
    recipe = load_recipe(str(path), fields)
    assert (recipe.name, recipe.train.steps, recipe.lora.rank, recipe.sample.prompts) == (
        "mine",
        20,
        4,
        ("b", "c"),
    )


def test_none_switches_an_optional_part_off():
    tree = {"lora": {"rank": 4}}
    put(tree, ["lora"], "none")
    assert parse_recipe(tree, "here").lora is None


def test_an_unknown_recipe_names_the_closest_shipped_one():
    with pytest.raises(ValueError, match="demo-base"):
        load_recipe("demo-bse")


def test_a_file_that_is_not_toml_is_one_line(tmp_path):
    for body in (b"\xff\xfe", b"[train\n", b"a=" + b"[" * 3000):
        (tmp_path / "bad.toml").write_bytes(body)
        with pytest.raises(ValueError, match="not a TOML file") as error:
            load_recipe(str(tmp_path / "bad.toml"))
        assert "\n" not in str(error.value).strip()


@pytest.mark.parametrize(
    "path", sorted(shipped("configs").glob("*.toml")), ids=lambda path: path.stem
)
def test_every_shipped_recipe_is_valid_and_says_what_to_expect(path):
    recipe = load_recipe(str(path))
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert recipe.purpose
    assert "Time" in header and "Expect" in header


def test_a_recipe_keeps_its_own_name_and_is_else_named_after_its_file(tmp_path):
    (tmp_path / "file.toml").write_text('name = "mine"\n', encoding="utf-8")
    (tmp_path / "other.toml").write_text("", encoding="utf-8")
    assert load_recipe(str(tmp_path / "file.toml")).name == "mine"
    assert load_recipe(str(tmp_path / "other.toml")).name == "other"
