"""What a page's tabs are answered: in order, one at a time, apart from each other, and with the
abilities that are switched on."""

import json
import threading
import time
from itertools import takewhile

import pytest

from tests.assistant.conftest import TICKET
from tests.formats.test_gguf import TEMPLATE, random_model, write_gguf
from tests.serve.conftest import ALL, BOOKED, Slow, only, serving
from tinylm.assistant.plain import LONGEST, SAMPLING, without_practice
from tinylm.assistant.runtime import CONFIRM, Event
from tinylm.assistant.training import prepared
from tinylm.commands.serve import plain_model, service_of
from tinylm.formats.chat import conversation_ids
from tinylm.formats.folders import import_folder
from tinylm.generation import Request, generate
from tinylm.pages.html import visible
from tinylm.training.load import load_model


def test_what_happens_comes_in_its_order_and_ends_with_end(served):
    assert served.ask(served.begin(), "sum") == [
        ("call", "calculator 2 * 21"),
        ("result", "42"),
        ("answer", "42."),
        ("end", "False"),
    ]
    assert served.ask(served.begin(), "ticket") == [
        ("call", "search"),
        ("passage", TICKET),
        ("source", "prices, sentence 1"),
        ("answer", "3 crowns."),
        ("end", "False"),
    ]


def test_a_piece_is_sent_before_the_next_one_is_written():
    heard = threading.Event()

    def reply(_):
        yield Event("answer", "first")
        assert heard.wait(20)
        yield Event("answer", "second")

    with serving(only(reply)) as page:
        response = page.message(page.begin(), "hello", [])
        assert json.loads(response.readline()) == {"kind": "answer", "text": "first"}
        heard.set()
        assert json.loads(response.readline()) == {"kind": "answer", "text": "second"}


def test_a_call_that_writes_runs_after_a_yes_and_not_before(served, orders):
    key = served.begin()
    asked = served.ask(key, "berth")
    assert ("result", CONFIRM) in asked and asked[-1] == ("end", "True")
    assert orders.bookings() == []
    assert ("result", BOOKED) in served.ask(key, "yes") and orders.bookings() == [(3, "Monday")]
    served.ask(key, "yes")
    assert orders.bookings() == [(3, "Monday")]


@pytest.mark.parametrize("answer", ["no", "hello"])
def test_anything_but_a_yes_books_nothing(served, orders, answer):
    key = served.begin()
    for message in ("berth", answer, "yes"):
        served.ask(key, message)
    assert orders.bookings() == []


def test_tabs_do_not_answer_for_each_other(served, orders):
    one, other = served.begin(), served.begin()
    served.ask(one, "berth")
    served.ask(other, "yes")
    assert orders.bookings() == []
    served.ask(other, "hello")
    served.ask(one, "yes")
    assert orders.bookings() == [(3, "Monday")]


def test_a_conversation_that_was_ended_is_forgotten(served, orders):
    key = served.begin()
    served.ask(key, "berth")
    assert served.post("/end", {"conversation": key}).status == 200
    assert served.message(key, "yes").status == 404 and orders.bookings() == []


# -- one at a time --------------------------------------------------------------------------------


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_answer_is_written_at_a_time_and_the_others_are_told_to_wait():
    running = []

    def reply(message):
        running.append(message)
        assert len(running) == 1
        for _ in range(10):
            time.sleep(0.005)
            yield Event("answer", message)
        running.remove(message)

    with serving(only(reply)) as page:
        replies = [page.message(page.begin(), name, []) for name in "abc"]
        lines = [[json.loads(line) for line in response] for response in replies]
    for name, said in zip("abc", lines):
        waited = list(takewhile(lambda line: line["kind"] == "wait", said))
        assert len(waited) == (name != "a")
        assert [line["kind"] for line in said[len(waited) :]] == ["answer"] * 10 + ["end"]
        assert {line["text"] for line in said if line["kind"] == "answer"} == {name}


def test_a_tab_that_is_closed_stops_its_generation_and_the_next_is_answered():
    slow = Slow()
    with serving(only(slow.reply)) as page:
        response = page.message(page.begin(), "count", [])
        response.readline()
        response.close()
        assert slow.closed.wait(20) and slow.written < 10_000
        assert page.ask(page.begin(), "quick", []) == [("answer", "done"), ("end", "False")]


def test_a_tab_that_is_closed_while_it_waits_leaves_the_line():
    slow = Slow()
    asked = []

    def reply(message):
        asked.append(message)
        yield from slow.reply(message)

    with serving(only(reply)) as page:
        first = page.message(page.begin(), "count", [])
        first.readline()
        second = page.message(page.begin(), "never asked", [])
        assert json.loads(second.readline()) == {"kind": "wait"}
        second.close()
        time.sleep(0.1)
        first.close()
        assert page.ask(page.begin(), "quick", [])[-2:] == [("answer", "done"), ("end", "False")]
    assert asked == ["count", "quick"]


def test_a_server_that_ends_stops_a_long_answer():
    slow = Slow()
    with serving(only(slow.reply)) as page:
        response = page.message(page.begin(), "count", [])
        response.readline()
    assert slow.closed.is_set() and slow.written < 10_000
    assert json.loads(response.read().splitlines()[-1])["text"] == "the program was stopped"


# -- what goes wrong ------------------------------------------------------------------------------


def test_a_message_that_cannot_be_answered_is_told_and_the_next_one_is_answered():
    def reply(message):
        if message == "long":
            raise ValueError("too long\x1b[2J for the model")
        yield Event("answer", "fine")

    with serving(only(reply)) as page:
        key = page.begin()
        assert page.ask(key, "long", []) == [("error", "too long␛[2J for the model")]
        assert page.ask(key, "short", [])[0] == ("answer", "fine")


def test_a_fault_in_the_program_ends_the_answer_and_holds_up_nobody():
    def reply(message):
        yield Event("answer", "so far")
        if message == "broken":
            raise KeyError("a fault of ours")

    with serving(only(reply)) as page:
        assert b"so far" in page.message(page.begin(), "broken", []).readline()
        assert page.ask(page.begin(), "whole", [])[-1] == ("end", "False")


def test_what_steers_a_screen_is_shown_as_a_sign():
    with serving(only(lambda _: iter([Event("passage", "a\u202eb\x07")]))) as page:
        assert page.ask(page.begin(), "hello", [])[0] == ("passage", "a\N{REPLACEMENT CHARACTER}b␇")


# -- switches -------------------------------------------------------------------------------------


def test_without_documents_a_search_is_told_that_there_is_none(served):
    parts = served.ask(served.begin(), "ticket", ["tools", "fine-tuning"])
    assert parts[1] == ("result", "error: there is no tool 'search'")
    assert "passage" not in dict(parts) and "3 crowns" not in dict(parts)["result"]
    assert ("result", "42") in served.ask(served.begin(), "sum", ["tools", "fine-tuning"])


def test_without_tools_a_call_is_told_that_there_is_none_and_nothing_is_booked(served, orders):
    on, key = ["documents", "fine-tuning"], served.begin()
    parts = served.ask(key, "sum", on)
    assert parts[1] == ("result", "error: there is no tool 'calculator'")
    for message in ("berth", "yes"):
        served.ask(key, message, on)
    assert orders.bookings() == []
    assert ("passage", TICKET) in served.ask(key, "ticket", on)


def test_without_fine_tuning_the_model_under_it_continues_the_text(served, base_run):
    model, tokenizer, _ = load_model(base_run)
    text = generate(model, tokenizer, Request("the net", LONGEST, SAMPLING, seed=1))[0].text
    for rest in ([], ["documents", "tools"]):
        parts = served.ask(served.begin(), "the net", rest)
        assert parts == [("answer", visible(text)), ("end", "False")]


def test_a_switch_drops_what_waits_for_a_yes_even_when_it_is_put_back(served, orders):
    key = served.begin()
    served.ask(key, "berth")
    served.ask(key, "hello", ["tools", "fine-tuning"])
    served.ask(key, "yes")
    assert orders.bookings() == []


def test_the_page_says_in_plain_words_what_each_switch_takes_away(served):
    page = served.send("GET", "/").read().decode()
    assert [page.count(f'value="{name}"') for name in ALL] == [1, 1, 1]
    for words in (
        "It may search 1 document",
        "calculator (works an expression out)",
        "takes your message for the beginning of a text and continues it",
    ):
        assert words in page


def test_an_assistant_that_was_trained_from_nothing_has_no_switch_for_fine_tuning(
    service, base_run, capsys
):
    made = service.assistant(frozenset(ALL))
    names = [ability.name for ability in service_of(made, base_run).abilities]
    assert names == ["documents", "tools"]
    assert "fine-tuning has no switch on the page" in capsys.readouterr().err


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """A run with a chat template and random weights."""
    place = tmp_path_factory.mktemp("talker")
    write_gguf(place / "m.gguf", random_model("llama", context=200), "llama")
    return import_folder(place / "m.gguf", place / "run")


def test_a_model_that_was_made_for_conversations_answers_in_turns_without_fine_tuning(
    service, talker, tmp_path
):
    made = service.assistant(frozenset(ALL))
    under = service_of(made, prepared(talker, tmp_path / "run"))
    assert "as its makers taught it" in under.abilities[-1].lost
    with serving(under) as page:
        parts = page.ask(page.begin(), "the", ["documents"])
        assert [kind for kind, _ in parts] == ["answer", "end"]
        assert "more than the" in dict(page.ask(page.begin(), "the " * 400, []))["error"]


def test_it_sees_what_was_said_before(talker):
    plain = plain_model(talker)()
    turns = [{"role": role, "content": "the"} for role in ("user", "assistant", "user")]
    ids = conversation_ids(TEMPLATE, plain.tokenizer, turns)
    assert plain.request(turns).ids == tuple(ids)
    assert "".join(event.text for event in plain.reply("the")) == plain.turns[1]["content"]
    with pytest.raises(ValueError, match="more than the"):
        list(plain.reply("the " * 400))
    assert len(plain.turns) == 2  # what could not be answered was not said


def test_the_run_under_an_assistant_is_the_one_that_knows_no_calls(novice, base_run):
    assert without_practice(novice).folder.resolve() == base_run.folder.resolve()
    assert without_practice(base_run) is None
