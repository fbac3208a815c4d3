"""A page is one file that needs nothing else, and text can never become markup."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError
from matplotlib.figure import Figure

from tinylm.pages import figures, html

ATTACK = '<script>alert("1")</script><img src=x onerror=y> & \'"'


class Tags(HTMLParser):
    """Counts tags, and checks that they close in order."""

    VOID = frozenset(["meta", "br", "img", "hr", "use", "path", "link", "input"])

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(markup: str) -> Tags:
    tags = Tags()
    tags.feed(markup)
    assert tags.open == []
    return tags


def drawing() -> Figure:
    with figures.canvas("A & B <differ>") as figure:
        figure.subplots().plot([1, 2], [3, 4], color=figures.PALETTE[0])
    return figure


PAGE = """
{% extends "base.html" %}{% import "parts.html" as parts %}
{% block lead %}{{ text }}{% endblock %}
{% block content %}
<h2>{{ text }}</h2><p>{{ text }}</p>{{ parts.bullets([text]) }}
{{ parts.table([text], [[text, text]], text) }}
{% call parts.folded(text) %}<p>{{ text }}</p>{% endcall %}
{{ parts.cards([text], [lines]) }}
{{ parts.picture(picture) }}
{% endblock %}"""


def laid_out(template: str, **values) -> str:
    """A template of this test, laid out with the parts of the package's pages."""
    return html.environment().from_string(template).render(values)


def part(call: str, **values) -> str:
    return laid_out('{% import "parts.html" as parts %}{{ parts.' + call + " }}", **values)


def whole_page(text: str = ATTACK) -> str:
    lines = [html.Line(text, text, text, True), html.Line(text)]
    picture = html.Picture("x", text, drawing(), text, [text], [[text]])
    return laid_out(PAGE, title=text, text=text, lines=lines, picture=picture)


def test_text_is_shown_as_it_is_wherever_it_is_given():
    tags = parsed(whole_page())
    assert "script" not in tags.seen and "img" not in tags.seen
    assert tags.text.count(ATTACK) == 20


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% raw %}", "{# gone #}", "<b>&amp;</b>", "%(x)s"])
def test_text_that_looks_like_a_template_is_shown_letter_by_letter(text):
    assert parsed(whole_page(text)).text.count(text) == 20


def test_a_value_that_a_page_lacks_is_an_error_and_not_a_gap():
    with pytest.raises(UndefinedError, match="title"):
        html.render("comparison.html")


def test_a_page_needs_nothing_from_anywhere_else():
    markup = whole_page()
    assert not re.search(r'(?:src|href)="(?!#|data:)', re.sub(r"&[a-z#0-9]+;", "", markup))
    assert "default-src 'none'" in markup.replace("&#x27;", "'")
    assert "@import" not in markup and "url(http" not in markup


def test_a_page_follows_light_and_dark_prints_and_fits_a_phone():
    markup = whole_page()
    assert "prefers-color-scheme: dark" in markup and "@media print" in markup
    assert 'name="viewport"' in markup and 'lang="en"' in markup


def test_a_picture_stands_inline_with_its_caption_and_its_numbers():
    picture = html.Picture("x", "h", drawing(), "Look at the slope.", ["x", "y"], [[1, 3], [2, 4]])
    markup = part("picture(drawn)", drawn=picture)
    tags = parsed(markup)
    assert (
        tags.seen.count("svg") == 1
        and tags.seen.count("figcaption") == 1
        and tags.seen.count("details") == 1
    )
    assert 'role="img" aria-label="A &amp; B &lt;differ&gt;"' in markup
    assert "A & B <differ>" in tags.text
    assert "Look at the slope." in tags.text


def test_pictures_take_their_colours_from_the_page():
    markup = html.svg(drawing())
    assert "var(--c0)" in markup and "var(--ink)" in markup
    for colour in (figures.INK, figures.MUTED, figures.GRID, figures.PALETTE[0]):
        assert colour not in markup
    for name in set(re.findall(r"var\(--(\w+)\)", markup)):
        # once for light, once for dark
        assert html.render("style.css").count(f"--{name}:") == 2, name


def test_control_characters_become_signs_that_can_be_seen():
    shown = laid_out("<p>{{ text }}</p>", text="a\x00\x1b[31m\tb\n")
    assert shown == "<p>a␀␛[31m\tb\n</p>"


def test_characters_that_reorder_a_line_or_hide_become_signs_and_joiners_stay():
    text = "a\u202eb\u2066c\u200bd\x9be\U000e0041f"
    assert laid_out("{{ text }}", text=text) == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"
    family = "\U0001f468\u200d\U0001f469 می\u200cخواهم"
    assert laid_out("{{ text }}", text=family) == family


def test_a_line_carries_its_verdict_as_a_sign_and_not_only_as_a_colour():
    sample = [html.Line("Good line", "x/", "", True), html.Line("Bad line", "/x", "why", False)]
    markup = part("lines(sample)", sample=sample)
    assert "✓" in markup and "✗" in markup and "why" in markup


def test_a_picture_that_is_no_png_is_left_out():
    assert html.data_uri(b"GIF89a") == "" and html.data_uri(b"\x89PNG").startswith("data:image/png")


def test_the_command_line_starts_without_the_templates():
    code = "import sys; import tinylm, tinylm.cli; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
