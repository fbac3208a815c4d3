"""The page itself, opened from disk in headless Chromium; skipped where playwright or a browser is
missing."""

import json

import pytest
import torch

from tests.playground.conftest import FAMILIES, SOURCES
from tests.playground.test_engine import parity_case, random_texts, tokenizers
from tinylm.config import Sampling
from tinylm.generation import Request, generate
from tinylm.playground.export import prepare, tokenizer_facts, write_page
from tinylm.playground.weights import with_weights

PATIENCE = 120_000  # milliseconds: a busy machine is no failure
GREEDY = {"temperature": 0, "topK": 0, "topP": 1, "minP": 0}


@pytest.fixture(scope="module")
def file(bpe_run, tuned_run, tmp_path_factory):
    return write_page([bpe_run, tuned_run], tmp_path_factory.mktemp("page") / "play.html")


class Opened:
    """A page in the browser, with every request and every error it caused."""

    def __init__(self, browser, file, **context):
        self.page = browser.new_context(**context).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda said: self.errors.append(said.text) if said.type == "error" else None
        )
        self.page.goto(file.as_uri())

    def ready(self):
        self.page.wait_for_selector("#lens td")
        return self

    def ask(self, task, **fields):
        return self.page.evaluate(f"ask({json.dumps(task)}, {json.dumps(fields)})")

    def chips(self):
        return self.page.locator(".chip span").all_text_contents()


@pytest.fixture(scope="module")
def opened(browser, file):
    return Opened(browser, file).ready()


@pytest.fixture()
def fresh(opened):
    """The shared page with its first prompt again."""
    opened.page.fill("#prompt", "the sea")
    opened.page.wait_for_selector("#bars .bar")
    opened.page.wait_for_timeout(300)
    return opened


def test_opens_from_disk_without_any_request_and_without_an_error(opened, file):
    assert [url for url in opened.requests if not url.startswith("blob:")] == [file.as_uri()]
    assert opened.errors == [] and not opened.page.is_visible("#status")


def as_on_the_page(run):
    """The run's model with weights rounded as they are for the page, and its tokenizer."""
    player = prepare(run)
    return with_weights(player.model, player.choice.packed.rounded), player.tokenizer


def test_probabilities_in_the_browser_are_those_of_python(fresh, bpe_run):
    rounded, tokenizer = as_on_the_page(bpe_run)
    with torch.inference_mode():
        chances = rounded(torch.tensor([tokenizer.encode("the sea")]))[0, -1].softmax(-1)
    rows = fresh.ask("chances", sampling={**GREEDY, "temperature": 1}, count=10)["rows"]
    for row in rows:
        assert row["raw"][0] == pytest.approx(float(chances[row["id"]]), abs=1e-5)


def test_greedy_text_is_identical_to_pythons(fresh, bpe_run):
    rounded, tokenizer = as_on_the_page(bpe_run)
    expected = generate(rounded, tokenizer, Request("the sea", 64, Sampling(temperature=0)))[0].text
    request = {"which": 0, "tokens": 64, "sampling": GREEDY, "seed": 0, "begin": None}
    written = fresh.page.evaluate(
        """async (request) => {
        let text = "";
        await ask("write", { ...request, ids: state.ids }, (part) => text += part);
        return text; }""",
        request,
    )
    assert written == expected


LOGITS = """request => {
    const body = Uint8Array.from(atob(request.body), (c) => c.charCodeAt(0)).buffer;
    const session = new Session(new Transformer(request.config, readTensors(request.tensors,
    body)));
    const rows = request.ids.map((_, i) => Array.from(session.read(request.ids.slice(0, i + 1))));
    const greedy = request.ids.slice(0, request.prompt);
    for (let i = 0; i < request.greedy; i++) {
        const chances = narrow(session.read(greedy), { temperature: 0, topK: 0, topP: 1, minP: 0 });
        greedy.push(draw(chances, 0.5));
    }
    return { rows, greedy }; }"""


@pytest.fixture(scope="module")
def engine(browser):
    """A page that holds nothing but the engine."""
    page = browser.new_page()
    page.add_script_tag(path=SOURCES / "engine.js")
    return page


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("which", [0, 1], ids=["bpe", "char"])
def test_logits_in_chromium_equal_those_of_pytorch(engine, name, which):
    request, expected, greedy = parity_case(name, which)
    answer = engine.evaluate(LOGITS, request)
    torch.testing.assert_close(torch.tensor(answer["rows"]), expected, atol=1e-3, rtol=0)
    assert answer["greedy"] == greedy


@pytest.mark.parametrize("which", [0, 1], ids=["bpe", "char"])
def test_a_thousand_random_strings_become_the_same_ids_in_chromium(engine, which):
    tokenizer, texts = tokenizers()[which], random_texts(1000)
    encode = (
        "([facts, texts]) => texts.map((text) => Array.from(makeTokenizer(facts).encode(text)))"
    )
    assert engine.evaluate(encode, [tokenizer_facts(tokenizer), texts]) == [
        tokenizer.encode(text) for text in texts
    ]


def test_a_model_of_characters_opens_too(browser, base_run, tmp_path):
    page = Opened(browser, write_page([base_run], tmp_path / "play.html")).ready()
    rounded, tokenizer = as_on_the_page(base_run)
    page.page.fill("#prompt", "sea é")
    page.page.wait_for_selector(".chip:has-text('<0xC3>')")  # a letter that it never saw: its bytes
    assert page.chips()[:4] == ["s", "e", "a", "␣"] and page.errors == []
    with torch.inference_mode():
        chances = rounded(torch.tensor([tokenizer.encode("sea é")]))[0, -1].softmax(-1)
    for row in page.ask("chances", sampling={**GREEDY, "temperature": 1}, count=10)["rows"]:
        assert row["raw"][0] == pytest.approx(float(chances[row["id"]]), abs=1e-5)


def test_a_step_adds_a_token_the_same_seed_repeats_it_and_back_takes_it_away(fresh):
    def stepped():
        count = len(fresh.chips())
        fresh.page.click("#step")
        fresh.page.wait_for_selector(f".chip.new >> nth={count - before}")
        return fresh.chips()

    before = len(fresh.chips())
    once = stepped()
    twice = stepped()
    fresh.page.click("#back")
    fresh.page.wait_for_selector(".chip.new >> nth=1", state="detached")
    assert fresh.chips() == once and stepped() == twice
    fresh.page.click("#reset")
    fresh.page.wait_for_selector(".chip.new", state="detached")
    assert len(fresh.chips()) == before


def test_a_bar_chooses_its_token_by_keyboard(fresh):
    label = fresh.page.locator("#bars .bar .token").nth(2).text_content()
    fresh.page.locator("#bars .bar").nth(2).focus()
    fresh.page.keyboard.press("Enter")
    fresh.page.wait_for_selector(".chip.new")
    assert fresh.chips()[-1] == label


def test_the_settings_move_the_bars(fresh):
    fresh.page.locator("#topK").evaluate(
        "e => { e.value = 1; e.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    fresh.page.wait_for_selector("#bars-note:has-text('keep 1 of 280')")
    percents = fresh.page.locator(".percents > span").all_text_contents()
    assert sum("100 %" in percent for percent in percents) == 2
    fresh.page.locator("#topK").evaluate(
        "e => { e.value = 0; e.dispatchEvent(new Event('input', {bubbles: true})) }"
    )


def test_pointing_at_a_token_shows_its_attention_and_its_layers(fresh):
    fresh.page.hover(".chip >> nth=1")
    fresh.page.wait_for_selector("#inside-note:has-text('number 2')")
    assert fresh.page.locator("#heads button").count() == 4  # two layers of two heads
    assert fresh.page.locator("#lens tbody tr").count() == 3
    fresh.page.locator("#heads button").nth(3).focus()
    fresh.page.wait_for_selector("#head-title:has-text('layer 2, head 2')")
    assert fresh.page.locator(".chip[aria-selected=true]").count() == 1


def test_both_models_write_and_the_lines_of_the_verse_model_are_marked(fresh):
    fresh.page.fill("#tokens", "80")
    fresh.page.click("#write")
    fresh.page.wait_for_selector("#columns section:nth-child(2) .line small")
    assert fresh.page.locator("#columns section").count() == 2
    assert "tokens in" in fresh.page.locator("#columns .note").nth(1).text_content()
    assert fresh.page.locator("#columns section:nth-child(1) .line").count() == 0


def test_markup_in_names_and_prompts_is_shown_as_text(opened):
    opened.page.fill("#prompt", "<img src=x onerror=alert(1)> 🙂 \u202e")
    opened.page.wait_for_selector(".chip:has-text('🙂'), .chip:has-text('<0xF0>')")
    assert opened.page.locator("img, h3 script").count() == 0 and opened.errors == []
    assert opened.page.locator("#legend").text_content() == "base<script>alert(1)<"


def test_a_prompt_of_100_kilobytes_is_read_and_says_what_is_out_of_view(opened):
    opened.page.fill("#prompt", "the net and the sea " * 5000)
    opened.page.wait_for_selector("#chip-note:has-text('earlier tokens are out of view')")
    assert len(opened.chips()) <= 40 and opened.errors == []


def test_an_empty_prompt_asks_for_a_character(opened):
    opened.page.fill("#prompt", "")
    opened.page.wait_for_selector("#chip-note:has-text('at least one character')")
    assert (
        opened.page.is_disabled("#step")
        and not opened.page.is_visible("#status")
        and opened.errors == []
    )


def test_three_stages_of_training_stand_side_by_side(browser, bpe_run, tuned_run, tmp_path):
    file = write_page([bpe_run, tuned_run, bpe_run], tmp_path / "three.html")
    opened = Opened(browser, file).ready()
    assert "This file holds three trained language models" in opened.page.text_content("#lead")
    opened.page.fill("#tokens", "8")
    opened.page.click("#write")
    for card in range(1, 4):
        note = f"#columns .card:nth-child({card}) .note:has-text('tokens')"
        opened.page.wait_for_selector(note)
    texts = opened.page.locator("#columns .card .text").all_text_contents()
    assert len(texts) == 3 and texts[0] == texts[2] and opened.errors == []
    assert opened.page.locator("#which option").count() == 3
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_file_cut_short_says_so(browser, file, tmp_path, share):
    cut, text = tmp_path / "cut.html", file.read_text(encoding="utf-8")
    cut.write_text(text[: int(share * len(text))], encoding="utf-8")
    page = Opened(browser, cut).page
    assert "the file is incomplete" in page.text_content("#status") and not page.is_visible("#all")


def test_a_browser_without_workers_gets_one_clear_line(browser, file):
    context = browser.new_context()
    context.add_init_script("delete window.Worker")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(file.as_uri())
    page.wait_for_selector("#status:has-text('The engine stopped in this browser')")


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen_and_every_control_has_a_name(
    browser, file, width, scheme
):
    page = (
        Opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
        .ready()
        .page
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = (
        "[...document.querySelectorAll('input, select, textarea')].filter(e => "
        "!e.labels.length).length"
    )
    assert page.evaluate(nameless) == 0
    silent = (
        "[...document.querySelectorAll('button')].filter(e => !e.textContent && "
        "!e.ariaLabel).length"
    )
    assert page.evaluate(silent) == 0
