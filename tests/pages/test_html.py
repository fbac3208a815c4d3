"""A page is one file that needs nothing else, and text can never become markup."""

import re
from html.parser import HTMLParser

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


def whole_page() -> str:
    parts = [
        html.heading(ATTACK),
        html.paragraph(ATTACK),
        html.bullets([ATTACK]),
        html.table([ATTACK], [[ATTACK, ATTACK]], ATTACK),
        html.folded(ATTACK, html.paragraph(ATTACK)),
        html.cards(
            [(ATTACK, html.lines([(ATTACK, ATTACK, ATTACK, True), (ATTACK, "", "", None)]))]
        ),
        html.picture(drawing(), ATTACK, [ATTACK], [[ATTACK]]),
    ]
    return html.document(ATTACK, ATTACK, parts)


def test_text_is_shown_as_it_is_wherever_it_is_given():
    tags = parsed(whole_page())
    assert "script" not in tags.seen and "img" not in tags.seen
    assert tags.text.count(ATTACK) == 20


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
    markup = html.picture(drawing(), "Look at the slope.", ["x", "y"], [[1, 3], [2, 4]])
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
        assert html.document("t", "l", []).count(f"--{name}:") == 2, name


def test_control_characters_become_signs_that_can_be_seen():
    assert html.paragraph("a\x00\x1b[31m\tb\n") == "<p>a␀␛[31m\tb\n</p>"


def test_a_line_carries_its_verdict_as_a_sign_and_not_only_as_a_colour():
    markup = html.lines([("Good line", "x/", "", True), ("Bad line", "/x", "why", False)])
    assert "✓" in markup and "✗" in markup and "why" in markup
