"""The page in headless Chromium, by keyboard and by role; skipped where playwright or a browser is
missing."""

import re
import time

import pytest

from tests.serve.conftest import Slow, only, serving
from tests.serve.test_conversations import wait_for
from tinylm.assistant.runtime import Event

PATIENCE = 60_000  # milliseconds: a busy machine is no failure
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


class Tab:
    """A tab with the page in it, every request and every error that it caused."""

    def __init__(self, context, served) -> None:
        self.page = page = context.new_page()
        page.set_default_timeout(PATIENCE)
        self.requests, self.errors = [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console", lambda said: self.errors.append(said.text) if said.type == "error" else None
        )
        page.goto(served.url)
        page.wait_for_selector("#message:focus")

    def type(self, message):
        """Type a message where the focus is, send it by Enter, and wait for the answer."""
        self.page.keyboard.type(message)
        self.page.keyboard.press("Enter")
        self.answered()

    def answered(self):
        self.page.wait_for_selector(".turn:last-child:not(.busy)")

    def focused(self):
        return self.page.evaluate("document.activeElement.textContent.trim()")

    def answers(self):
        return self.page.locator(".answer > .words").all_text_contents()

    def parts(self):
        """Kind and text of the parts beside the last answer."""
        boxes = self.page.locator(".turn:last-child .part").all()
        return [(box.get_attribute("data-kind"), box.locator(".words").text_content())
                for box in boxes]  # fmt: skip

    def said(self):
        return self.page.locator("[aria-live=polite]").text_content()


@pytest.fixture
def tab(browser, served):
    context = browser.new_context()
    yield Tab(context, served)
    context.close()


def test_a_question_is_typed_and_answered_by_keyboard_alone(tab, served):
    tab.type("ticket")  # the message has the focus when the page opens
    assert tab.answers() == ["3 crowns."]
    assert [kind for kind, _ in tab.parts()] == ["call", "passage", "source"]
    assert tab.page.locator("details.work").get_attribute("open") is not None
    assert tab.said() == "Answer: 3 crowns. From prices, sentence 1"
    tab.page.keyboard.press("Shift+Tab")
    assert tab.focused() == "What it did: call search → passage → source"
    tab.page.keyboard.press("Enter")
    assert tab.page.locator("details.work").get_attribute("open") is None
    tab.page.keyboard.press("Shift+Tab")
    assert tab.focused() == "prices, sentence 1"
    tab.page.keyboard.press("Enter")  # the source unfolds where it stands
    assert tab.page.locator("details.work").get_attribute("open") is not None
    assert "prices, sentence 1" in tab.focused()
    assert tab.errors == []
    assert {url.removeprefix(served.url) for url in tab.requests} == {
        "/", "/page.css", "/page.js", "/begin", "/message", "data:,"
    } - ({"data:,"} - set(tab.requests))  # fmt: skip


def test_what_happens_is_seen_while_it_happens_and_folded_at_the_next_message(browser):
    steps = iter("abc")
    gate = []

    def reply(message):
        yield Event("call", "search")
        wait_for(lambda: len(gate) >= 1)
        yield Event("passage", "A passage.")
        yield Event("answer", "First ")
        wait_for(lambda: len(gate) >= 2)
        yield Event("answer", next(steps))

    with serving(only(reply)) as served:
        tab = Tab(browser.new_context(), served)
        tab.page.keyboard.type("hello")
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector(".part[data-kind=call]:has-text('search')")
        assert tab.page.locator("details[open] summary").text_content() == "At work"
        assert tab.page.locator("#stop").is_visible() and not tab.page.locator("#send").is_visible()
        gate.append(1)
        tab.page.wait_for_selector(".answer:has-text('First')")
        assert tab.said() == ""  # a screen reader hears whole answers
        gate.append(2)
        tab.answered()
        assert tab.answers() == ["First a"] and tab.said() == "Answer: First a"
        tab.type("again")
        opened = [work.get_attribute("open") for work in tab.page.locator("details.work").all()]
        assert opened == [None, ""]
        tab.page.context.close()


def test_a_switch_takes_an_ability_away_and_says_what_is_lost(tab):
    documents = tab.page.get_by_role("switch", name="Documents")
    assert documents.is_checked()
    documents.focus()
    tab.page.keyboard.press("Space")
    assert "it has never read these documents" in tab.said()
    assert tab.page.locator(".ability.off .lost").is_visible()
    tab.page.locator("#message").focus()
    tab.type("ticket")
    assert tab.parts()[-1] == ("result", "error: there is no tool 'search'")
    assert tab.page.locator(".asked small").text_content() == "without documents"
    documents.press("Space")
    tab.page.get_by_role("button", name="Ask again").click()
    tab.page.wait_for_selector(".turn >> nth=1")
    tab.answered()
    assert tab.answers() == ["Sorry.", "3 crowns."]


def test_without_fine_tuning_the_other_switches_rest_and_the_text_goes_on(tab):
    tab.page.get_by_role("switch", name="Fine-tuning").press("Space")
    for name in ("Documents", "Tools"):
        assert tab.page.get_by_role("switch", name=name).is_disabled()
    assert tab.page.get_by_text("Makes no difference without fine-tuning.").count() == 2
    lost = tab.page.locator(".lost", has_text="takes your message for the beginning of a text")
    assert lost.is_visible()
    tab.page.locator("#message").focus()
    tab.type("the net")
    assert tab.page.get_by_text("No search and no call").is_visible()
    assert tab.page.locator(".asked small").text_content() == "without fine-tuning"


def test_a_booking_is_made_by_a_typed_yes_or_a_pressed_one_and_not_before(tab, orders):
    tab.type("berth")
    group = tab.page.get_by_role("group", name="Confirm book 3 Monday")
    assert group.is_visible() and orders.bookings() == []
    assert tab.said().endswith("Nothing has been done yet. book 3 Monday waits for your yes.")
    tab.type("no")
    assert tab.answers()[-1] == "All right." and not group.is_visible()
    tab.type("berth")
    group.get_by_role("button", name="Yes, do it").focus()
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector(".turn >> nth=3")
    tab.answered()
    assert tab.answers()[-1] == "Done." and orders.bookings() == [(3, "Monday")]
    assert tab.page.evaluate("document.activeElement.id") == "message"


def test_a_switch_takes_the_buttons_of_a_proposal_away(tab, orders):
    tab.type("berth")
    tab.page.get_by_role("switch", name="Documents").press("Space")
    assert tab.page.get_by_role("button", name="Yes, do it").count() == 0
    tab.page.locator("#message").focus()
    tab.type("yes")
    assert orders.bookings() == []


def test_two_tabs_of_one_browser_are_two_conversations(tab, served, orders):
    other = Tab(tab.page.context, served)
    tab.type("berth")
    other.type("yes")
    assert other.answers() == ["Yes?"] and orders.bookings() == []
    tab.type("yes")
    assert tab.answers()[-1] == "Done." and orders.bookings() == [(3, "Monday")]


def test_a_new_conversation_is_empty_and_remembers_nothing(tab, orders):
    tab.type("berth")
    tab.page.get_by_role("button", name="New conversation").click()
    assert tab.page.locator(".turn").count() == 0 and tab.said() == "A new conversation."
    assert tab.page.evaluate("document.activeElement.id") == "message"
    tab.type("yes")
    assert tab.answers() == ["Yes?"] and orders.bookings() == []


@pytest.mark.parametrize("how", ["escape", "button", "tab"])
def test_a_long_answer_is_stopped_by_escape_a_button_or_closing_the_tab(browser, how):
    slow = Slow()
    with serving(only(slow.reply)) as served:
        tab = Tab(browser.new_context(), served)
        tab.page.keyboard.type("count")
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector(".answer:has-text('3')")
        if how == "tab":
            tab.page.close()
            assert slow.closed.wait(20) and slow.written < 10_000
            return
        if how == "escape":
            tab.page.keyboard.press("Escape")
        else:
            tab.page.get_by_role("button", name="Stop").click()
        tab.answered()
        assert slow.closed.wait(20) and slow.written < 10_000
        assert tab.page.locator(".problem").text_content() == "Stopped."
        assert tab.page.evaluate("document.activeElement.id") == "message"
        tab.type("quick")
        assert tab.answers()[-1] == "done"
        tab.page.context.close()


def test_another_tabs_answer_is_waited_for_and_the_page_says_so(browser):
    slow = Slow()
    with serving(only(slow.reply)) as served:
        context = browser.new_context()
        first, second = Tab(context, served), Tab(context, served)
        for tab, message in ((first, "count"), (second, "quick")):
            tab.page.keyboard.type(message)
            tab.page.keyboard.press("Enter")
            tab.page.wait_for_selector(".turn")
            time.sleep(0.1)
        second.page.wait_for_selector("#status:has-text('comes first')")
        assert second.said() == "Another tab's answer comes first."
        first.page.keyboard.press("Escape")
        second.answered()
        assert second.answers() == ["done"]
        context.close()


def test_markup_is_shown_as_text_wherever_it_comes_from(browser):
    kinds = ["call", "result", "passage", "source", "thought", "answer"]
    with serving(only(lambda _: iter([Event(kind, HOSTILE) for kind in kinds]))) as served:
        tab = Tab(browser.new_context(), served)
        tab.type(HOSTILE)
        assert tab.page.locator("img, #turns script").count() == 0 and tab.errors == []
        assert tab.page.locator(".asked .words").text_content() == HOSTILE
        assert tab.parts() == [(kind, HOSTILE) for kind in kinds[:-1]]
        assert tab.answers() == [HOSTILE] and HOSTILE in tab.said()
        tab.page.context.close()


def test_a_kind_of_event_that_the_page_does_not_know_has_its_own_name(browser):
    events = [Event("thought", "First "), Event("thought", "this."), Event("answer", "Done.")]
    with serving(only(lambda _: iter(events))) as served:
        tab = Tab(browser.new_context(), served)
        tab.type("hello")
        assert tab.parts() == [("thought", "First this.")] and tab.answers() == ["Done."]
        assert tab.page.locator(".part .name").text_content() == "thought"
        tab.page.context.close()


def test_a_program_that_has_ended_is_told_in_plain_words(browser):
    with serving(only(lambda _: iter([Event("answer", "hello")]))) as served:
        tab = Tab(browser.new_context(), served)
        tab.type("hello")
    tab.type("hello")
    assert "The program does not answer" in tab.page.locator(".problem").text_content()
    assert "The program does not answer" in tab.said()
    tab.page.context.close()


def test_everything_has_a_role_and_a_name_and_comes_in_a_sensible_order(tab):
    page = tab.page
    assert page.get_by_role("heading", level=1).count() == 1 and page.title()
    assert page.get_by_role("group", name="Abilities").is_visible()
    assert page.get_by_role("textbox", name="Your message").is_visible()
    assert page.get_by_role("main").count() == page.get_by_role("complementary").count() == 1
    for switch in page.get_by_role("switch").all():
        for name in switch.get_attribute("aria-describedby").split():
            assert page.locator(f"#{name}").count() == 1
    tab.type("sum")
    assert page.get_by_role("list", name="Messages and answers").is_visible()
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, textarea')].filter("
        "e => !e.textContent.trim() && !e.ariaLabel && !e.labels.length).length"
    )
    assert nameless == 0
    page.evaluate("document.querySelector('.skip').focus()")
    order = []
    for _ in range(8):
        order.append(page.evaluate("document.activeElement.value || "
                                   "document.activeElement.textContent.trim()"))  # fmt: skip
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
        page.keyboard.press("Tab")
    assert order[:6] == ["Skip to the message", "documents", "tools", "fine-tuning",
                         "New conversation", "Ask again"]  # fmt: skip
    assert page.evaluate("document.activeElement.id") == "send"  # behind details and message


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


CONTRASTS = """() => [...document.querySelectorAll("p, small, label, button, legend, summary, .name, .words")]
  .filter((e) => e.checkVisibility() && !e.disabled && e.textContent.trim()).map((e) => {
    let behind = e;
    while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)" && behind !== document.body)
      behind = behind.parentElement;
    return [e.className || e.tagName, getComputedStyle(e).color, getComputedStyle(behind).backgroundColor];
  })"""  # noqa: E501


@pytest.mark.parametrize("scheme, width", [("light", 1400), ("dark", 400)])
def test_every_text_can_be_read_and_nothing_is_wider_than_the_screen(
    browser, served, scheme, width
):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    tab = Tab(context, served)
    tab.page.get_by_role("switch", name="Documents").press("Space")
    tab.page.locator("#message").focus()
    tab.type("berth")
    tab.page.fill("#message", "unbroken" * 30)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    found = tab.page.evaluate(CONTRASTS)
    assert len(found) > 15
    for name, ink, paper in found:
        light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ink, paper)
    context.close()


def test_nothing_moves_for_those_who_asked_for_less_motion(browser):
    slow = Slow()
    with serving(only(slow.reply)) as served:
        for motion, expected in (("reduce", "none"), ("no-preference", "blink")):
            tab = Tab(browser.new_context(reduced_motion=motion), served)
            tab.page.keyboard.type("count")
            tab.page.keyboard.press("Enter")
            tab.page.wait_for_selector(".busy .answer > .words")
            name = tab.page.evaluate(
                "getComputedStyle(document.querySelector('.busy .answer > .words'), '::after')"
                ".animationName"
            )
            assert name == expected
            tab.page.context.close()
