"""What fills the gaps of the practice texts: names, sums of money, dates, places, reasons.

`value(kind, chance)` draws one of a kind ("money" -> "$12.50", "person" -> "Ida Brandt"). Names of
people, towns and firms are partly put together from syllables, so that a reader learns to copy
what it has never seen; numbers come in digits and in words, as people write them.

Trade-off: the lists are short. What must be learned is where an answer stands, not which it is.
"""

from collections.abc import Callable

from tinylm.assistant.vocabulary import made_up
from tinylm.corpora.chance import Chance

# Lists part their entries by " / ", since an entry may hold blanks and commas.
_LISTS = {
    "place": "pool / library / gym / sauna / café / museum / car park / reception / archive / "
    "laboratory / nursery / laundry / garden / boathouse / studio / post room / kiosk / bakery / "
    "reading room / climbing wall / skate park / bike shed / print shop / greenhouse / theatre / "
    "repair shop / cloakroom / recycling yard / lost property office / ticket office / help desk",
    "group": "adults / children / students / pensioners / members / guests / families / visitors / "
    "apprentices / volunteers / residents / teachers / nurses / soldiers / beginners / the disabled"
    " / large families / the unemployed / school classes",
    "staff": "nurses / cleaners / drivers / cooks / engineers / trainees / accountants / gardeners "
    "/ warehouse workers / lifeguards / electricians / programmers / night guards / part-timers / "
    "sales staff / team leaders / interns / welders",
    "staff1": "nurse / cleaner / driver / cook / engineer / gardener / clerk / teacher / welder",
    "item": "a laptop / a headset / a drill / a bicycle / a projector / a tent / a kayak / a camera"
    " / a sewing machine / a ladder / a locker key / a badge / a desk lamp / a helmet / a rain coat"
    " / a monitor / a wheelbarrow / a trailer / a microphone / a gold watch / a season ticket / a "
    "toolbox / a water bottle / a parking card / a silver pin / a backpack / a cake / a guitar",
    "items": "batteries / envelopes / towels / tyres / keys / umbrellas / chairs / blankets / cups "
    "/ filters / screws / gloves / notebooks / boots / lamps / tablets / plates / mattresses / "
    "brushes / cables / printers / jackets / sacks / candles / skis / tents / pumps / books / maps "
    "/ stamps / old newspapers / spare keys / paint pots / garden tools",
    "food": "flour / rice / lentils / butter / sugar / cheese / beans / onions / carrots / oats / "
    "mushrooms / yeast / honey / almonds / spinach / apples / noodles / cream / salmon / potatoes "
    "/ chickpeas / cinnamon / nuts / barley / plums / tomatoes",
    "dish": "lentil soup / plum cake / fish pie / potato salad / rye bread / mushroom risotto / "
    "onion tart / bean stew / apple crumble / vegetable curry / cheese omelette / goulash / "
    "carrot cake / pumpkin soup / pancakes / noodle bake / lamb stew / nut loaf / "
    "rice pudding / dumplings",
    "liquid": "water / milk / vinegar / vegetable stock / soap water / red wine / apple juice "
    "/ oil / salt water / alcohol / lemon juice / warm water / white wine / coconut milk",
    "machine": "coffee machine / printer / lawn mower / generator / dishwasher / forklift / drill "
    "press / washing machine / scanner / pump / floor polisher / pottery kiln / band saw / heater /"
    " projector / compressor / crane / lathe / bread slicer / snow plough / label printer / robot "
    "arm / goods lift / trailer / welding set / mixer",
    "thing": "the oak tree / the front gate / open windows / the radiator / the fountain / the fuel"
    " tank / the flagpole / the curtains / the bicycle stands / the old well / the stairs / the "
    "lime tree / the bus stop / the west gate / the chapel / the water tower / heaters / the statue"
    " of the founder / the tennis court / gas bottles",
    "event": "summer party / annual meeting / book fair / fire drill / staff council / open day / "
    "choir concert / chess tournament / blood donation day / plant sale / safety briefing / film "
    "night / quarterly review / spring run / quiz evening / welcome lunch / parents' evening",
    "dept": "accounts / human resources / the legal team / marketing / the help desk / logistics / "
    "purchasing / the research group / customer service / quality control / the design office / "
    "payroll / the editors / the export team / facilities / the sales department / security",
    "vehicle": "car / motorbike / bicycle / van / tram / ferry / minibus / taxi / scooter / train",
    "vehicles": "trams / ferries / night buses / shuttle buses / cable cars / trains / minibuses",
    "animal": "guide dogs / cats / goldfish / parrots / rabbits / hamsters / ponies / tortoises",
    "course": "first aid / pottery / Spanish / bookkeeping / welding / yoga / swimming / beekeeping"
    " / photography / carpentry / public speaking / fire safety / algebra / drawing / forklift "
    "driving / sign language / cooking / sailing / chess / food hygiene / statistics / violin",
    "product": "tent / phone / heater / bicycle / pump / vacuum cleaner / lamp / router / saw",
    "colour": "red / green / blue / yellow / brown / grey / white / black / orange / violet / pink "
    "/ purple / amber / turquoise / dark blue / light green / silver / beige",
    "topic": "overtime / travel / new furniture / parental leave / parking / training / repairs / "
    "expenses / a new password / sick leave / moving desks / a change of address / a pay rise / "
    "recycling / the weekly report / visitors / accidents / a lost badge / borrowing tools",
    "benefit": "a gym / childcare / internet at home / a bus pass / language lessons / glasses / a "
    "bicycle / lunch / music lessons / parking / therapy / a phone contract / books / a sports "
    "club / eye tests / massages / commuting",
    "occasion": "wedding / funeral / house move / birth / court date / graduation / christening / "
    "silver wedding / blood donation / school enrolment / medical examination",
    "extra": "a case / insurance / a charger / delivery / breakfast / a spare battery / engraving /"
    " a helmet / two-day hire / assembly / a guarantee of two years / a lamp",
    "club": "rowing club / choir / chess club / parents' council / garden society / film club / "
    "works council / football club / local history group / orchestra",
    "building": "building A / building C / the east wing / the north tower / Mill House / the main "
    "hall / block 7 / the annexe / the old school / Garden Court / the warehouse / house 12",
    "building2": "lighthouse / town hall / clock tower / windmill / castle / cathedral / bridge / "
    "television tower / grain store / monastery / dam / observatory / harbour crane",
    "peril": "fire / water / storm / theft / hail / frost / lightning / vandalism / mice / "
    "earthquake / floods / breakage / smoke",
    "gear": "ear protection / a hard hat / safety glasses / rubber gloves / steel-toed boots / a "
    "dust mask / a yellow vest / a life jacket / a hairnet / an apron",
    "reason": "the floor is being replaced / the boiler is broken / a school uses it / there was a "
    "flood / the staff are being trained / nobody can be found to run it / the roof leaks / it is "
    "cleaned then / of the noise / the light there is better / it once caught fire / a spare part "
    "is missing / the lease has ended / it hurts the eyes / of high winds / too few people came / "
    "it softens the skin / the pipes freeze easily / the wiring is old / it saves energy",
    "condition": "the box has been opened / the price rises by a tenth / the goods are damaged / "
    "they were made to measure / the label is missing / the mixture is smooth / it turns golden / "
    "the other side stops paying / the sugar has melted / they were on sale / the law changes / a "
    "delivery is a month late / the seal is broken / the owner sells the house",
    "state": "the battery is low / the tank is full / the door is open / a filter is blocked / it "
    "is ready / the paper is stuck / it is too hot / there is no signal / the belt has slipped / it"
    " needs oil / an update is being installed / the cover is loose",
    "position": "at the front desk / under the stairs / behind the counter / in the grey cupboard /"
    " on the top shelf / in the basket by the door / next to the sink / outside room 8 / in the "
    "second drawer / on the window sill / beside the printer / in the garage",
    "deed": "saving a drowning child / planting 400 trees / thirty years of service / a new way to "
    "sort mail / repairing the organ / a book on moss / teaching refugees / finding the leak",
    "place2": "worker / teacher / volunteer / gardener / driver / inventor / trainee / neighbour",
    "daysaweek": "two days a week / one day a week / three days a week / every Friday / on four "
    "days a month / twice a week / up to six days a month / on Mondays and Fridays",
    "daysinrow": "six days in a row / five days in a row / ten days in a row / four nights in a row"
    " / 8 days in a row / three weekends in a row",
    "times": "twice / three times / four times / once / six times / ten times",
    "ordinal2": "third / second / fifth / fourth",
    "ordinal3": "sixth / seventh / eighth / tenth",
    "letter": "A / B / C / D / E / F",
    "speed": "30 km/h / 50 km/h / 20 mph / 60 mph / 80 km/h / 10 km/h / 35 mph / 100 km/h",
    "address": "14 Mill Lane / 3 Station Road / 27 Kirk Street / 108 Elm Avenue / 9 Castle Hill / "
    "61 Orchard Way / 5 Bridge Street / 240 King's Road / 12 Weaver's Yard / 33 Northgate",
    "day": "Monday / Tuesday / Wednesday / Thursday / Friday / Saturday / Sunday",
    "month": "January / February / March / April / May / June / July / August / September / "
    "October / November / December",
}  # fmt: skip
LISTS = {kind: tuple(text.split(" / ")) for kind, text in _LISTS.items()}
_FIRST = """
Ida Omar Lena Piotr Chloe Ravi Hana Diego Aisha Tom Greta Kwame Mei Lars Sofia Emre Nadia Joel
Priya Anton Zoe Malik Ruth Ivan Clara Hugo Yuki Samir Elsa Mateo Fatima Colin Bianca Otis
"""
_LAST = """
Brandt Okoye Lindqvist Moreau Patel Novak Haddad Sato Fischer Walsh Costa Nguyen Bauer Mensah
Ferreira Kowalski Yilmaz Dunne Rossi Larsen Ibrahim Keller Vargas Petrov Byrne Tanaka Shaw
"""
_NUMBERS = """
two three four five six seven eight nine ten eleven twelve fifteen twenty
"""
_ORDINALS = """
first second third fourth fifth sixth seventh tenth twelfth last
"""
FIRST, LAST, NUMBERS, ORDINALS = (
    tuple(text.split()) for text in (_FIRST, _LAST, _NUMBERS, _ORDINALS)
)
TOWN_ENDS = ("ton", "ford", "burg", "ville", "stad", " Bridge", "mouth", "by", "field")
FIRM_ENDS = ("Ltd", "Brothers", "& Sons", "Logistics", "Foods", "AG", "Services", "Works", "Group")


def whole(chance: Chance, low: int, high: int) -> str:
    """A number from `low` to `high`; small ones in words now and then."""
    number = chance.pick(range(low, high + 1))
    if number <= 12 and number >= 2 and chance.happens(0.4):
        return NUMBERS[number - 2]
    return f"{number:,}" if number >= 1000 and chance.happens(0.6) else str(number)


def money(chance: Chance) -> str:
    """A sum in one of several currencies and notations."""
    if chance.happens(0.45):
        amount = f"{chance.pick(range(1, 40))}.{chance.pick(range(5, 100, 5)):02d}"
    else:
        amount = f"{chance.pick((8, 15, 25, 40, 60, 80, 120, 250, 475, 900, 1500, 3200)):,}"
        amount = str(chance.pick(range(3, 990))) if chance.happens(0.5) else amount
    notation = chance.pick(("${}", "€{}", "£{}", "{} euros", "{} crowns", "{} dollars", "{} francs",
                            "{} pounds"))  # fmt: skip
    return notation.format(amount)


def cents(chance: Chance) -> str:
    """A small sum."""
    return f"{chance.pick(range(2, 60))} {chance.pick(('cents', 'pence'))}"


def clock(chance: Chance) -> str:
    """A time of the day."""
    hour, minute = chance.pick(range(1, 13)), chance.pick(range(0, 60, 5))
    if chance.happens(0.15):
        return chance.pick(("noon", "midnight", "six o'clock", "half past nine", "eight o'clock"))
    if chance.happens(0.4):
        return f"{hour}:{minute:02d} {chance.pick(('am', 'pm', 'a.m.', 'p.m.'))}"
    return f"{hour + chance.pick((0, 12)) - (hour == 12):d}:{minute:02d}"


def date(chance: Chance) -> str:
    """A day of the year, with or without the year."""
    day, month = chance.pick(range(1, 29)), chance.pick(LISTS["month"])
    return chance.pick((f"{day} {month}", f"{month} {day}", f"{day} {month} {year(chance)}"))


def year(chance: Chance) -> str:
    """A year from 1850 on."""
    return str(chance.pick(range(1850, 2031)))


def measured(units: str, low: int = 2, high: int = 60) -> Callable[[Chance], str]:
    """A drawer of numbers with one of a few units."""

    def draw(chance: Chance) -> str:
        unit = chance.pick(units.split("/"))
        decimal = unit in ("kg", "metres", "litres", "km", "tonnes") and chance.happens(0.3)
        number = f"{whole(chance, 1, 20)}"
        if decimal:
            return f"{chance.pick(range(1, 20))}.{chance.pick(range(1, 10))} {unit}"
        return f"{whole(chance, low, high) if chance.happens(0.7) else number} {unit}".replace(
            "1 weeks", "one week"
        )

    return draw


def every(chance: Chance) -> str:
    """How often something happens."""
    unit = chance.pick(("days", "weeks", "months", "hours", "years", "minutes"))
    return chance.pick(
        (f"every {whole(chance, 2, 30)} {unit}", f"every {chance.pick(LISTS['day'])}",
         f"once a {chance.pick(('week', 'month', 'year', 'day'))}", "every second week",
         f"on the {chance.pick(ORDINALS)} {chance.pick(LISTS['day'])} of the month",
         f"{chance.pick(LISTS['times'])} a {chance.pick(('year', 'month', 'week'))}")
    )  # fmt: skip


def name(chance: Chance) -> str:
    """A word that may be made up, with a capital letter."""
    word = made_up(chance).capitalize()
    return f"{word} {chance.pick(LAST)}" if chance.happens(0.2) else word


def person(chance: Chance) -> str:
    """First and last name, a title now and then, half of the last names made up."""
    last = chance.pick(LAST) if chance.happens(0.5) else made_up(chance).capitalize()
    first = chance.pick(FIRST) if chance.happens(0.8) else made_up(chance).capitalize()
    if chance.happens(0.12):
        return f"{chance.pick(('Dr', 'Ms', 'Mr', 'Mrs', 'Professor'))} {last}"
    return f"{first} {last}"


def room(chance: Chance) -> str:
    """A room, with a number or a name."""
    return chance.pick(
        (f"room {whole(chance, 1, 420)}", f"the {chance.pick(LISTS['colour'])} room", "the cellar",
         f"hall {chance.pick('ABCDEF')}", "the attic", "the seminar room", "the side entrance",
         f"the {chance.pick(('first', 'second', 'third', 'top'))} floor", "the boiler room",
         f"cupboard {whole(chance, 2, 90)}", "the staff kitchen", "the glass house", "the lobby",
         f"locker {whole(chance, 2, 300)}", f"shed {whole(chance, 2, 20)}", "the meeting room")
    )  # fmt: skip


def code(chance: Chance) -> str:
    """A code of digits, of letters and digits, or of a form."""
    digits = "".join(chance.pick("0123456789") for _ in range(chance.pick((1, 2, 4))))
    letter = chance.pick("ABCEFHKLMPRSTW")
    return chance.pick((digits + chance.pick("123456789"), letter + digits, f"{letter}-{digits}"))


def phone(chance: Chance) -> str:
    """An extension or a number in groups."""
    groups = (2, 4) if chance.happens(0.5) else (3, 3, 4)
    return " ".join("".join(chance.pick("0123456789") for _ in range(n)) for n in groups)


DRAWN: dict[str, Callable[[Chance], str]] = {
    "money": money, "cents": cents, "time": clock, "date": date, "year": year, "every": every,
    "name": name, "person": person, "room": room, "code": code, "phone": phone,
    "duration": measured("weeks/months/years/weeks/months", 2, 30),
    "days": measured("days/working days/days/weeks", 2, 40),
    "hours": measured("hours", 2, 72), "minutes": measured("minutes", 3, 90),
    "seconds": measured("seconds", 2, 40), "weight": measured("kg/grams/tonnes/pounds", 2, 900),
    "distance": measured("metres/centimetres/km/feet/steps", 2, 300),
    "volume": measured("litres/ml/gallons/cups", 2, 500),
    "temp": lambda c: f"{c.pick(('', '', 'minus '))}{whole(c, 2, 230)} degrees",
    "percent": lambda c: f"{c.pick((whole(c, 2, 60), '2.5', '7.5', '3.8'))}"
                         f"{c.pick(('%', ' percent', ' per cent'))}",
    "number": lambda c: whole(c, 2, c.pick((20, 400, 9000))),
    "age": lambda c: c.pick((whole(c, 3, 70), f"the age of {whole(c, 3, 30)}")),
    "ordinal": lambda c: c.pick((f"{c.pick(range(4, 21))}th", "first", "last day", "22nd", "31st")),
    "city": lambda c: made_up(c).capitalize() + c.pick(TOWN_ENDS),
    "company": lambda c: f"{c.pick((made_up(c).capitalize(), c.pick(LAST)))} {c.pick(FIRM_ENDS)}",
    "model": lambda c: f"{made_up(c).capitalize()} {c.pick(('', c.pick(range(2, 900))))}".strip(),
    "line": lambda c: str(c.pick(range(1, 200))),
    "email": lambda c: f"{c.pick(('bills', 'office', 'accounts'))}@{made_up(c)}.example",
}  # fmt: skip


def value(kind: str, chance: Chance) -> str:
    """One value of a kind: from its list, or drawn; KeyError for an unknown kind.

    >>> value("day", Chance(0)), value("money", Chance(1)), value("person", Chance(3))
    ('Saturday', '£34.75', 'Zoe Ferreira')
    """
    return chance.pick(LISTS[kind]) if kind in LISTS else DRAWN[kind](chance)
