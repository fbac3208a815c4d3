"""Calls are parsed and checked, never executed; every tool keeps to its limits."""

import time

import pytest

from tinylm.assistant.retrieval import Index
from tinylm.assistant.tools import (
    ERROR,
    Orders,
    Parameter,
    Search,
    Tool,
    calculate,
    calculator,
    line,
    parse_call,
    run_call,
    toolbox,
)


@pytest.mark.parametrize(
    "expression, value",
    [("34 * "
      "12", "408"), ("0.1 + "
                     "0.2", "0.3"), ("-(2 + 3) * "
                                     "4", "-20"), ("1 / 3", "0.3333"), ("2 ** 10", "1024"),
     ("12.50 * 4", "50"), ("7 - 7.05", "-0.05")],
)  # fmt: skip
def test_the_calculator_is_exact(expression, value):
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["__import__('os').system('x')", "9**9**9**9", "10 ** 20 ** "
                                                   "1", "(1).__class__", "a + "
                                                                         "1", "1 if 1 else 2",
                                                                         "[1]",
     "lambda: 1", "1 // 0", "1 / 0", "1e400", "9e99 * 9", "True + 1", "'a' * 9", "1_000 @ 2", "",
     "(" * 79, "-" * 80 + "1", "1 + " * 300 + "1", "2 ** "
                                                   "-1", "2 ** "
                                                         "0.5", "1j * "
                                                                "1j", "print(1)", "x := 3", "1 2",
                                                                "0x",
     "1\n+1\nimport os"],
)  # fmt: skip
def test_what_is_no_small_sum_is_refused_at_once(expression):
    start = time.perf_counter()
    with pytest.raises(ValueError):
        calculate(expression)
    assert time.perf_counter() - start < 0.5


def test_powers_cannot_grow_behind_a_denominator():
    with pytest.raises(ValueError):
        calculate("(((1/3)**20)**20)**20")


def test_a_call_becomes_typed_values():
    call = parse_call("book 31 saturday", toolbox(*Orders().tools()))
    assert call.tool.name == "book" and call.arguments == (31, "Saturday")


@pytest.mark.parametrize(
    "text, told",
    [("", "no tool"), ("calculater 1", 'did you mean "calculator"'), ("order", "takes number"),
     ("order x", "number must"), ("order -1", "whole number"), ("order ²", "whole number"),
     ("order 1; DROP TABLE orders", "whole number"),
     ("book "
      "31", "takes berth day"), ("book 31 Someday", "day must"), ("book 99 Monday", "from 1 to 60"),
     ("../../etc/passwd", "no "
                          "tool"), ("os.system "
                                    "ls", "no "
                                          "tool"), ("calculator " + "1+" * 60, "expression must"),
     ("calculator \x1b[31m1", "printable")],
)  # fmt: skip
def test_a_wrong_call_is_told_in_words(text, told):
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        parse_call(text, toolbox(calculator(), *Orders().tools()))


def test_a_slow_tool_is_not_waited_for():
    slow = Tool("slow", "", (Parameter("x", line(9)),), lambda x: time.sleep(30) or x, seconds=0.05)
    start = time.perf_counter()
    answer = run_call(parse_call("slow 1", toolbox(slow)))
    assert answer.startswith(ERROR) and time.perf_counter() - start < 2


def test_a_long_result_is_cut_and_a_crash_is_an_error_in_one_line():
    long = Tool("long", "", (Parameter("x", line(9)),), lambda x: x * 1000, characters=10)
    broken = Tool("broken", "", (Parameter("x", line(9)),), lambda x: [][0])
    assert run_call(parse_call("long a", toolbox(long))) == "a" * 10
    assert run_call(parse_call("broken a", toolbox(broken))) == f"{ERROR}list index out of range"


def test_the_search_tool_answers_with_the_best_passage_for_the_users_message():
    search = Search(Index({"ferry": "A ticket costs 3 crowns."}))
    tools = toolbox(search.tool())
    search.message = "What does a ticket cost?"
    assert run_call(parse_call("search", tools)) == "A ticket costs 3 crowns."
    assert search.found[0].passage.source == "ferry"
    # most of its words are missing
    for message in ("xyzzy", "What does a ticket to the moon, Mars and Venus cost?"):
        search.message = message
        assert run_call(parse_call("search", tools)) == f"{ERROR}nothing was found"
    with pytest.raises(ValueError, match="search takes nothing"):
        parse_call("search for something else", tools)


def test_the_same_seed_makes_the_same_orders():
    first, second, other = Orders(1), Orders(1), Orders(2)
    number = first.numbers()[0]
    assert len(first.numbers()) == 500
    assert first.look_up(number) == second.look_up(number)
    assert first.numbers() != other.numbers()


def test_an_order_that_does_not_exist_is_said_so():
    with pytest.raises(ValueError, match="no order 99999"):
        Orders().look_up(99_999)


def test_a_berth_is_booked_once_a_day():
    orders = Orders()
    assert orders.book(3, "Monday") == "berth 3 is booked for Monday"
    with pytest.raises(ValueError, match="berth 3 is taken on Monday"):
        orders.book(3, "Monday")
    orders.book(3, "Tuesday")
    assert orders.bookings() == [(3, "Monday"), (3, "Tuesday")]


def test_sql_in_an_argument_is_a_value_and_nothing_else():
    orders = Orders()
    orders.book(3, "Monday'; DROP TABLE orders; --")  # past the parser, as a hostile caller would
    assert len(orders.numbers()) == 500
    assert orders.bookings() == [(3, "Monday'; DROP TABLE orders; --")]
