"""Facts of every kind a handbook holds, said and asked in many ways: the bulk of the reading
practice.

A row of the table is a relation: what kind of value it has, ways to state it, ways to ask for it.
Any statement goes with any question, about any thing, so that a few hundred phrases make thousands
of pairs. Most of the sentences say more than is asked: a second thing with another value, a fact of
another kind, or a clause behind or before it.

Trade-off: written by hand, so what the model can read is what somebody thought of. The handbook's
own sentences were not copied into the table; its relations (prices, times, people, places) are
those of any handbook.
"""

from dataclasses import dataclass

from tinylm.assistant.vocabulary import KINDS, new_word
from tinylm.corpora.chance import Chance

# value | statements | questions; {a} a thing ("the old lamp"), {v} the value; ways are parted by
# semicolons
_RELATIONS = """
price | {a} costs {v}; you pay {v} for {a}; the price of {a} is {v}; {a} is sold for {v}; \
for {a} we ask {v} \
| What does {a} cost?; How much is {a}?; What is the price of {a}?; What do you pay for {a}?
price | the fee for {a} is {v}; {a} has a fee of {v}; whoever wants {a} pays a fee of {v} \
| What is the fee for {a}?; How high is the fee for {a}?; What fee does {a} have?
price | there is a fine of {v} for {a}; leaving {a} behind means a fine of {v}; \
the fine for {a} is {v} \
| What is the fine for {a}?; How high is the fine for {a}?; How much is the fine for {a}?
price | {a} is worth {v}; we value {a} at {v}; {a} was bought for {v} \
| How much is {a} worth?; What is {a} worth?; What is the value of {a}?
price | {a} earns {v} a month; the wage of {a} is {v}; each month {a} gets {v} \
| What does {a} earn a month?; How much does {a} get?; What is the wage of {a}?
price | {a} may cost up to {v}; no more than {v} may be spent on {a}; at most {v} is paid for {a} \
| Up to how many crowns may {a} cost?; How many crowns may be spent on {a} at most?; \
How much is paid for {a} at most?
price | {a} brought in {v} last year; last year {v} came in from {a} \
| How much did {a} bring in last year?; What did {a} bring in?
person | the keeper of {a} is {v}; {a} is kept by {v}; {v} looks after {a}; {v} keeps {a} \
| Who keeps {a}?; Who looks after {a}?; Who is the keeper of {a}?
person | the master of {a} is {v}; {a} is led by {v}; {v} is in charge of {a}; {v} runs {a} \
| Who leads {a}?; Who is in charge of {a}?; Who runs {a}?; Who is the master of {a}?
person | {a} is checked by {v}; {v} inspects {a}; the one who checks {a} is {v} \
| Who checks {a}?; Who inspects {a}?; By whom is {a} checked?
person | bring {a} to {v}; {a} goes to {v}; hand {a} in to {v} \
| To whom is {a} brought?; To whom does {a} go?; Who receives {a}?
person | the {w} is {v}; our {w} is {v}; {v} is the {w}; as {w} we have {v}; ask {v}, the {w} \
| Who is the {w}?; What is the name of the {w}?; Who is our {w}?
person | for {a} you need leave from {v}; {v} gives leave for {a}; {a} must be signed by {v} \
| Who gives leave for {a}?; From whom do you need leave for {a}?; Who signs for {a}?
count | {a} has {v} {w}s; there are {v} {w}s in {a}; {v} {w}s belong to {a}; {a} holds {v} {w}s \
| How many {w}s does {a} have?; How many {w}s are there in {a}?; How many {w}s belong to {a}?
count | we own {v} {w}s; the house has {v} {w}s; there are {v} {w}s on the quay; you have {v} {w}s \
| How many {w}s do we own?; How many {w}s does the house have?; How many {w}s are there?; \
How many {w}s do you have?
count | {a} may take {v} {w}s; no more than {v} {w}s go into {a}; \
up to {v} {w}s are allowed in {a} \
| How many {w}s may {a} take?; How many {w}s go into {a}?; How many {w}s are allowed in {a}?
count | every {w} gets {v} {x}s; each {w} has {v} {x}s; for one {w} there are {v} {x}s \
| How many {x}s does a {w} get?; How many {x}s does each {w} have?; \
How many {x}s are there for one {w}?
count | you must be {v} to use {a}; {a} is for people of {v} and older; \
nobody under {v} may use {a} \
| How old must one be to use {a}?; At what age may one use {a}?; Below which age may nobody use {a}?
time | {a} opens at {v}; the doors of {a} open at {v}; {a} is open from {v} \
| When does {a} open?; At what time does {a} open?; From what time is {a} open?
time | {a} closes at {v}; {a} is open until {v}; {a} is locked at {v} \
| When does {a} close?; At what time is {a} locked?; Until what time is {a} open?
time | {a} begins at {v}; {a} starts at {v}; we begin {a} at {v}; {a} leaves at {v}; \
{a} is held at {v} \
| When does {a} begin?; At what time does {a} start?; When does {a} leave?; \
At what time is {a} held?
day | {a} is open on {v}; {a} is held on a {v}; on {v} there is {a}; {a} is washed every {v} \
| On which day is {a}?; On which day of the week is {a} held?; On what weekday is {a} open?; \
On which day is {a} washed?
month | {a} is tested every {v}; {a} takes place in {v}; in {v} we paint {a}; {a} is in {v} \
| In which month is {a} tested?; In which month does {a} take place?; In which month is {a}?; \
When is {a} painted?
date | {a} begins on {v}; ask for {a} before {v}; {a} must arrive by {v}; {a} ends on {v} \
| On which date does {a} begin?; By which date must {a} arrive?; When does {a} end?
span | {a} takes {v}; {a} lasts {v}; it takes {v} to finish {a}; {a} is over after {v} \
| How long does {a} take?; How long does {a} last?; How many {u} does {a} take?; \
For how many {u} does {a} last?
span | {a} is kept for {v}; we keep {a} for {v}; after {v} {a} is given away; {a} may stay for {v} \
| For how many {u} is {a} kept?; How long is {a} kept?; How long may {a} stay?; \
For how many {u} may {a} stay?
span | report {a} within {v}; {a} must be reported within {v}; {a} is mended within {v} \
| Within how many {u} must {a} be reported?; Within how many {u} is {a} mended?; \
How soon must {a} be reported?
span | ring at least {v} before {a}; order {a} {v} ahead; {a} is booked {v} ahead \
| How many {u} ahead is {a} booked?; How many {u} before {a} must one ring?; \
How long ahead is {a} ordered?
often | {a} is cleaned {v}; {v} {a} is inspected; {a} must be oiled {v}; {a} changes {v}; \
{v} we look at {a} \
| How often is {a} cleaned?; How often is {a} inspected?; How often must {a} be oiled?; \
How often does {a} change?
length | {a} is {v} long; {a} measures {v}; the length of {a} is {v}; {a} reaches up {v} \
| How long is {a}?; What is the length of {a}?; How many metres does {a} measure?; How high is {a}?
length | keep {v} away from {a}; stay {v} from {a}; nobody may come nearer than {v} to {a} \
| How far must one stay from {a}?; How many metres must one keep away from {a}?; \
How near may one come to {a}?
weight | {a} lifts {v}; {a} carries {v}; {a} weighs {v}; {a} may not be heavier than {v} \
| How much does {a} lift?; How many {u} does {a} carry?; How many {u} does {a} weigh?; \
How heavy may {a} be?
limit | the speed limit in {a} is {v}; in {a} nobody goes faster than {v}; \
drive at most {v} in {a} \
| What is the speed limit in {a}?; How fast may one go in {a}?; How fast may one drive in {a}?
limit | {a} is kept at {v}; the warmth of {a} is {v}; {a} must have {v} \
| At which temperature is {a} kept?; At how many degrees is {a} kept?; How warm is {a}?
percent | {a} rises by {v}; {v} is added to {a}; of {a} you keep {v} \
| By how many percent does {a} rise?; By how much does {a} rise?; What share is added to {a}?
colour | {a} is {v}; {a} is painted {v}; {w}s wear {v}; you know {a} by its {v} ribbon \
| What colour is {a}?; In what colour is {a} painted?; What colour do {w}s wear?; \
What colour of ribbon does {a} have?
paper | write {a} down in the {v}; {a} is noted in the {v}; {a} needs a {v}; for {a} sign the {v} \
| In which book is {a} written down?; Where is {a} noted?; What does {a} need?; \
What must be signed for {a}?
place | {a} is kept in {v}; {a} stands in {v}; you find {a} in {v}; bring {a} to {v}; \
{a} hangs outside {v} \
| Where is {a} kept?; In which room is {a}?; Where do you find {a}?; To which hatch is {a} brought?
place | {a} happens only in {v}; {w}s may park in {v}; {w}s stay behind {v}; take {w}s from {v} \
| Where does {a} happen?; In which row may {w}s park?; Behind which shed do {w}s stay?; \
From which pump are {w}s taken?
thing | {a} is kept behind the {v}; {a} lies under the {v}; {a} hangs beside the {v}; \
look for {a} in the {v} \
| Where is {a} kept?; Behind which thing is {a}?; Under what does {a} lie?; Where does {a} hang?
thing | the prize for {a} is a {v}; for {a} you get a {v}; {a} is honoured with a {v} \
| What is the prize for {a}?; What is given for {a}?; What does one get for {a}?
thing | on the last day there is {v}; the dish of {a} is {v}; in {a} they serve {v}; \
the oddest thing in {a} was a {v} \
| What is the dish of {a}?; What do they serve in {a}?; What was the oddest thing in {a}?; \
What is served in {a}?
name | {a} is called the {v}; the name of {a} is {v}; we call {a} {v}; everybody calls {a} {v} \
| What is {a} called?; What is the name of {a}?; What do we call {a}?
name | the {v} carries {w}s; {w}s go on the {v}; the {v} is for {w}s \
| Which boat carries {w}s?; What is for {w}s?; On what do {w}s go?
name | {a} is on {v}; {a} stands at the corner of {v}; send {a} to {v}; {a} moves to {v} \
| On which street is {a}?; Where does {a} stand?; Where is {a} sent?; To where does {a} move?
code | the code of {a} is {v}; {a} opens with the code {v}; type {v} to open {a} \
| What is the code of {a}?; What code opens {a}?; Which code does {a} have?
code | {a} answers at extension {v}; dial {v} for {a}; {a} has the number {v}; ring {a} at {v} \
| What is the extension of {a}?; Which number is dialled for {a}?; What number does {a} have?; \
What is {a}'s extension?
channel | {a} uses {v}; talk about {a} goes to {v}; {w}s listen on {v} \
| Which channel does {a} use?; On which channel do {w}s listen?; \
To which channel goes talk about {a}?
form | {a} is asked for with {v}; fill in {v} for {a}; {a} is written on {v} \
| With which form is {a} asked for?; On which form is {a} written?; Which form is filled in for {a}?
year | {a} was built in {v}; in {v} {a} was founded; {a} dates from {v} \
| In which year was {a} built?; When was {a} founded?; In which year was {a} founded?
ordinal | from the {v} day on {a} is needed; {a} is due on the {v} day; \
on the {v} of the month there is {a} \
| From which day on is {a} needed?; On which day is {a} due?; On which day of the month is {a}?
"""
_SMALL_TALK = """
, and nobody minds;, because it is old;, and it waits for nobody;, wet or dry;, so bring a {w};, \
with a {w};, whatever \
the weather;, beside the {w};, even on feast days;, not counting the {w};, \
as long as the {w} lasts;, if the {w} is in;\
, and it smells of {w}s;, which has stood there since {y};, and {n} {w}s stand by;, \
though the {w} says otherwise
"""
_OPENINGS = (
    "in winter ;since last year ;by the {w} ;on quiet days ;as a rule ;for {n} years now "
    ";under the {w} "
)
DEGREES, LIMITS = "degrees", ("kilometres an hour", "knots", "metres a second")


@dataclass(frozen=True)
class Relation:
    """A kind of fact: the kind of its value, and the ways to state it and to ask for it."""

    value: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]


def _relation(row: str) -> Relation:
    value, statements, questions = (part.strip() for part in row.split("|"))
    ways = ([way.strip() for way in part.split(";")] for part in (statements, questions))
    return Relation(value, *map(tuple, ways))


RELATIONS = [_relation(row) for row in _RELATIONS.strip().splitlines()]
SMALL_TALK = [clause.rstrip("\n") for clause in _SMALL_TALK.strip("\n").split(";")]


@dataclass(frozen=True)
class Fact:
    """One fact: what is said, what is asked, and the answer, which stands in what is said word for
    word."""

    relation: Relation
    statement: str
    question: str
    answer: str


def value(kind: str, chance: Chance) -> tuple[str, str]:
    """A value of a kind, and the unit that a question may name ("hours"), or ""."""
    number = f"{chance.pick(range(2, 10 ** chance.pick((1, 1, 2, 2, 3, 3, 4)))):,}"
    decimal = f"{chance.pick(range(0, 20))}.{chance.pick(range(5, 100, 5)):02d}"
    unit = chance.pick(("minutes", "hours", "days", "weeks", "months", "years"))
    load = chance.pick(("kilograms", "tonnes", "boxes"))
    word, name = (
        new_word(chance),
        f"{new_word(chance).capitalize()} {new_word(chance).capitalize()}",
    )
    values = {
        "price": f"{decimal if chance.happens(0.5) else number} "
                 "crowns", "person": name, "count": number,
        "time": f"{chance.pick(range(24))}:{chance.pick(range(0, 60, 5)):02d}",
        "day": chance.pick(KINDS["day"].split()), "month": chance.pick(KINDS["month"].split()),
        "date": f"{chance.pick(range(1, 31))} {chance.pick(KINDS['month'].split())}",
        "span": f"{number} {unit}", "often": f"every {number} {unit}", "length": f"{number} metres",
        "weight": f"{number} "
                  f"{load}", "percent": f"{decimal} "
                                        "percent", "code": str(chance.pick(range(10, 10_000))),
        "limit": f"{number} "
                 f"{chance.pick((*LIMITS, DEGREES))}",
                 "colour": chance.pick(KINDS["colour"].split()),
        "paper": f"{chance.pick(KINDS['colour'].split())} "
                 f"{chance.pick(('book', 'form', 'card', 'ledger', word))}",
        "place": f"{chance.pick(('room', 'shed', 'bay', 'hatch', 'row', 'pump', 'hall', word))} "
                 f"{number}",
        "thing": f"{new_word(chance)} "
                 f"{word}", "name": name if chance.happens(0.6) else word.capitalize(),
        "channel": f"channel {number}", "form": f"form {chance.pick('ABCDEFGKLQTVW')}{number}",
        "year": str(chance.pick(range(1700, 2030))),
        "ordinal": chance.pick(KINDS["ordinal"].split()),
    }  # fmt: skip
    return values[kind], load if kind == "weight" else unit


def thing(chance: Chance) -> str:
    """Something to say a fact about, such as "the big lamp of the tower"."""
    article = chance.pick(("the", "the", "the", "our", "every"))
    colour = chance.pick(
        ("", "", "old ", "big ", "small ", "new ", "second ", "first ", new_word(chance) + " ")
    )
    behind = (
        f" {chance.pick(('of', 'in', 'for', 'by'))} the {new_word(chance)}"
        if chance.happens(0.3)
        else ""
    )
    return f"{article} {colour}{new_word(chance)}{behind}"


def kind_of_thing(chance: Chance) -> str:
    """One or two words that can take a plural s, such as "tower lamp"."""
    return f"{new_word(chance)} {new_word(chance)}" if chance.happens(0.4) else new_word(chance)


def fact(chance: Chance, relation: Relation | None = None) -> Fact:
    """A fact, of any kind where no relation is given, said and asked in one of its ways."""
    relation = relation or chance.pick(RELATIONS)
    answer, unit = value(relation.value, chance)
    words = {"a": thing(chance), "w": kind_of_thing(chance), "x": new_word(chance), "u": unit}
    statement_form = chance.pick(relation.statements)
    # A question that names what the statement leaves out has no answer in it; take one that does
    # not.
    fitting = [
        way for way in relation.questions if slots(way) - {"u"} <= slots(statement_form)
    ] or list(relation.questions)
    statement = statement_form.format(**words, v=answer)
    if chance.happens(0.25):  # the same said of something else, before or behind
        others = {"a": thing(chance), "w": kind_of_thing(chance), "x": new_word(chance)}
        other = statement_form.format(**others, v=value(relation.value, chance)[0])
        statement = joined(statement, other, chance)
    if chance.happens(0.3):  # something of another kind, so that what is asked for decides
        different = chance.pick([row for row in RELATIONS if row.value != relation.value])
        subject = "it" if chance.happens(0.5) else thing(chance)
        others = {"a": subject, "w": kind_of_thing(chance), "x": new_word(chance)}
        other = chance.pick(different.statements).format(
            **others, v=value(different.value, chance)[0]
        )
        statement = joined(statement, other, chance)
    more = {
        "w": new_word(chance),
        "n": chance.pick(range(2, 99)),
        "y": chance.pick(range(1800, 2000)),
    }
    if chance.happens(0.35):
        statement += chance.pick(SMALL_TALK).format(**more)
    if chance.happens(0.15):
        statement = chance.pick(_OPENINGS.split(";")).format(**more) + statement
    if statement.startswith(answer):
        answer = answer[0].upper() + answer[1:]
    statement = statement[0].upper() + statement[1:] + "."
    return Fact(relation, statement, chance.pick(fitting).format(**words), answer)


def joined(one: str, other: str, chance: Chance) -> str:
    """Two statements as one, in chance order."""
    first, second = (one, other) if chance.happens(0.5) else (other, one)
    return f"{first}{chance.pick((', and ', ', but ', '; '))}{second}"


def slots(way: str) -> set[str]:
    """The names in braces."""
    return {name for name in ("a", "w", "x", "u") if f"{{{name}}}" in way}
