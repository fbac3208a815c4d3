"""The tables of the world: Pufferfish Bay, the harbour town in which every shipped text is set.

One table per kind of thing, written as rows that can be read and edited by eye, and turned into
frozen dataclasses below them. The stories, the facts, the verse and the checks all read these
tables, so that a fact (who keeps the goat, which boat is whose) stands in one place and can never
be told in two ways.

Trade-off: everybody has exactly one trade, home, boat, pet, favourite food, habit and relative. A
real town is less tidy, but only a tidy one can be probed exactly after training. All names and rows
are original.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

# name | she or he | trade | home (a street) | boat | its colour | pet and its name | favourite food
_PEOPLE = """
Mara | she | net-mender | Lantern Lane | Silver Wren | green | cat Thimble | fish soup
Tobin | he | ferryman | Ferry Street | Patient Goose | brown | goat Pepper | plum cake
Ada | she | baker | Candle Street | Floury Hand | white | hen Biscuit | onion soup
Jonas | he | lighthouse keeper | Anchor Street | Evening Star | red | parrot Captain | hot toast
Nell | she | letter carrier | Quay Street | Quick Penny | yellow | dog Bandit | apple pie
Hugo | he | boat-builder | Cork Lane | Sturdy Oak | brown | donkey Acorn | bean stew
Rosa | she | sail-maker | Rope Alley | White Wing | blue | rabbit Velvet | lemon cake
Otto | he | clockmaker | Bell Square | Tick Tock | grey | tortoise Comet | rice pudding
Greta | she | fishmonger | Herring Lane | Lucky Herring | blue | cat Kipper | cherry pie
Abel | he | shepherd | Thistle Terrace | Woolly Cloud | white | dog Bramble | pea soup
Hanna | she | doctor | Willow Square | Steady Heart | red | hedgehog Nettle | honey buns
Caleb | he | rope-maker | Rope Alley | Long Knot | yellow | pony Tinker | crab cakes
Lotte | she | gardener | Moss Yard | Green Bean | green | duck Radish | mushroom stew
Ezra | he | beekeeper | Garden Court | Golden Drop | yellow | goat Clover | seed bread
Maud | she | harbour master | Quay Street | Black Whistle | black | crow Inky | smoked herring
Felix | he | fiddler | Puddle Lane | Merry Tune | orange | goose Domino | jam tarts
Bess | she | blacksmith | Anchor Street | Iron Duck | black | pig Dumpling | baked potatoes
Gus | he | crab fisher | Crab Alley | Sideways | orange | ferret Pickle | blackberry jam
Clara | she | teacher | Mill Lane | Tall Story | blue | lamb Button | pancakes
Harry | he | cobbler | Cobble Court | Left Shoe | brown | dog Patch | oat cakes
Dora | she | potter | Plum Yard | Round Bowl | grey | hen Marble | barley broth
Isaac | he | bell-ringer | Bell Square | Sunday | green | pony Thunder | roast chestnuts
Edith | she | librarian | Needle Street | Paper Moon | white | tortoise Chapter | ginger biscuits
Leo | he | carpenter | Driftwood Row | Two Planks | yellow | rabbit Sawdust | cheese bread
Flora | she | weaver | Tern Terrace | Blue Thread | blue | lamb Teasel | plum cake
Karl | he | cook | Oyster Row | Copper Pot | orange | pig Gravy | fish soup
Gwen | she | oyster farmer | Shell Court | Grey Pearl | grey | duck Pebble | hot toast
Max | he | painter | Puddle Lane | Rainbow | red | parrot Mustard | onion soup
Hilda | she | cheesemaker | Mill Lane | Full Moon | yellow | goat Smudge | bean stew
Ned | he | street sweeper | Cobble Court | Dusty Broom | grey | crow Feather | apple pie
Inga | she | diver | Salt Street | Deep Breath | green | dog Scout | rice pudding
Oscar | he | tailor | Needle Street | Silk Pocket | red | cat Mittens | lemon cake
Juno | she | map-maker | Lantern Lane | North Star | blue | crow Quill | pea soup
Piers | he | milkman | Moss Yard | White Jug | white | donkey Noodle | cherry pie
Kate | she | glassblower | Candle Street | Clear Bubble | green | ferret Ember | crab cakes
Rory | he | tugboat captain | Ferry Street | Strong Bull | black | goose Muffin | honey buns
Lena | she | basket-maker | Willow Square | Bent Reed | brown | rabbit Parsley | seed bread
Sam | he | barrel-maker | Cork Lane | Rolling Tub | brown | hedgehog Chestnut | mushroom stew
Molly | she | innkeeper | Oyster Row | Open Door | red | hen Gossip | jam tarts
Tom | he | lamplighter | Garden Court | Little Flame | orange | tortoise Wick | smoked herring
Nora | she | salt-maker | Salt Street | Dry Crystal | white | goose Snowflake | blackberry jam
Victor | he | stonecutter | Plum Yard | Heavy Anvil | grey | donkey Boulder | baked potatoes
Ruth | she | candle-maker | Thistle Terrace | Warm Glow | yellow | hedgehog Amber | oat cakes
Barney | he | puppet-maker | Driftwood Row | Wooden King | orange | ferret Punch | pancakes
Sadie | she | kite-maker | Tern Terrace | High Wind | blue | parrot Ribbon | roast chestnuts
Dan | he | bookbinder | Shell Court | Last Page | green | cat Vellum | barley broth
Tess | she | crane driver | Herring Lane | Long Neck | black | duck Puddles | cheese bread
Jack | he | tea seller | Crab Alley | Warm Cup | red | pony Cinnamon | ginger biscuits
"""

# trade | base form, past, -ing form | what is worked on | tool of the trade | habit of whoever has
# it (~ is her or his)
_TRADES = """
net-mender | mend mended mending | torn nets | bone needle | hummed old sea songs
ferryman | row rowed rowing | people over the bay | long oar | counted ~ steps aloud
baker | bake baked baking | bread for the town | wooden shovel | rose before the sun
lighthouse keeper | light lit lighting | the great lamp | oil can | watched the sky
letter carrier | carry carried carrying | letters and parcels | leather bag | ran up every stair
boat-builder | build built building | strong boats | wide saw | tapped on wood
sail-maker | sew sewed sewing | white sails | curved needle | kept pins handy
clockmaker | repair repaired repairing | clocks and watches | tiny screwdriver | checked ~ watch
fishmonger | sell sold selling | fresh fish | sharp knife | shouted good morning
shepherd | watch watched watching | the sheep | crooked stick | leaned on ~ stick
doctor | cure cured curing | coughs and cuts | roll of bandage | asked about sore toes
rope-maker | twist twisted twisting | rope from hemp | iron hook | tied knots in everything
gardener | grow grew growing | beans and roses | small spade | talked to the flowers
beekeeper | keep kept keeping | nine hives of bees | smoke pot | walked very slowly
harbour master | count counted counting | the ships | brass whistle | wrote everything down
fiddler | play played playing | the fiddle | fiddle bow | tapped ~ foot
blacksmith | hammer hammered hammering | hot iron | heavy hammer | rolled up ~ sleeves
crab fisher | catch caught catching | crabs in pots | crab pot | walked with a limp
teacher | teach taught teaching | the children | piece of chalk | answered with a question
cobbler | fix fixed fixing | boots and shoes | shoe brush | looked at people's feet
potter | shape shaped shaping | cups and bowls | turning wheel | had muddy hands
bell-ringer | ring rang ringing | the harbour bell | bell rope | spoke very softly
librarian | lend lent lending | books | rubber stamp | read while walking
carpenter | make made making | chairs and doors | steel chisel | chewed ~ pencil
weaver | weave wove weaving | warm blankets | wooden loom | sang to ~ loom
cook | cook cooked cooking | supper for sailors | iron pan | tasted everything twice
oyster farmer | raise raised raising | oysters on ropes | wire rake | wore odd boots
painter | paint painted painting | signs and shutters | fat brush | spilled paint
cheesemaker | press pressed pressing | round cheeses | cheese cloth | hid cheese everywhere
street sweeper | sweep swept sweeping | the streets | straw broom | whistled at corners
diver | fetch fetched fetching | lost anchors | copper helmet | held ~ breath
tailor | stitch stitched stitching | coats and trousers | pair of scissors | measured with ~ arms
map-maker | draw drew drawing | maps of the coast | ink pen | drew in the sand
milkman | bring brought bringing | milk to every door | milk cart | sneezed at cats
glassblower | blow blew blowing | glass bottles | hollow pipe | puffed out ~ cheeks
tugboat captain | pull pulled pulling | big ships | thick cable | stood very straight
basket-maker | bend bent bending | reeds into baskets | pruning knife | picked up sticks
barrel-maker | roll rolled rolling | barrels | wooden mallet | slapped ~ knees
innkeeper | rent rented renting | rooms to travellers | bunch of keys | called everybody dear
lamplighter | tend tended tending | the street lamps | tall ladder | stayed up late
salt-maker | boil boiled boiling | sea water for salt | salt pan | licked ~ lips
stonecutter | cut cut cutting | steps and millstones | stone wedge | rubbed ~ chin
candle-maker | pour poured pouring | candles | pot of wax | saved string
puppet-maker | carve carved carving | puppets | small knife | did funny voices
kite-maker | fly flew flying | kites | ball of string | looked up, not down
bookbinder | glue glued gluing | books together | pot of glue | smelled of glue
crane driver | lift lifted lifting | heavy crates | steel chain | climbed on walls
tea seller | mix mixed mixing | tea from far away | tea scale | blew on ~ tea
"""

# how two people are related | the pairs
_KIN = """
sibling | Mara Tobin, Hugo Leo, Greta Gus, Maud Rory, Clara Edith, Hilda Nora, Molly Jack
cousin | Ada Karl, Rosa Oscar, Abel Flora, Felix Barney, Gwen Inga, Juno Tess
friend | Jonas Tom, Otto Isaac, Hanna Piers, Lotte Ezra, Bess Victor, Harry Dan, Max Sadie, \
Lena Ruth
twin | Nell Ned, Caleb Sam, Dora Kate
"""

# kind | its cry | its way of moving | a part of it | what it likes to do
_PETS = """
cat      | meowed   | crept    | whiskers | to sleep in warm hats
goat     | bleated  | trotted  | horns    | to chew on string
dog      | barked   | raced    | tail     | to dig deep holes
hen      | clucked  | hurried  | feathers | to sit on soft things
parrot   | squawked | flew     | beak     | to repeat secrets
donkey   | brayed   | plodded  | ears     | to stand quite still
rabbit   | squeaked | hopped   | nose     | to nibble green leaves
tortoise | hissed   | crawled  | shell    | to hide under benches
hedgehog | snuffled | pattered | prickles | to roll into a ball
pony     | neighed  | galloped | mane     | to wade in the sea
duck     | quacked  | waddled  | wings    | to splash in puddles
crow     | cawed    | flapped  | claws    | to collect shiny bits
goose    | honked   | marched  | neck     | to chase strangers
pig      | grunted  | bustled  | snout    | to roll in mud
ferret   | chattered| darted   | paws     | to hide in sleeves
lamb     | baaed    | skipped  | wool     | to jump over ropes
"""

# place | preposition | shore (bare at low tide), sea (built by the water) or land | a nook to look
# in | a sight
_PLACES = """
the old pier         | on     | sea   | between the planks      | the planks creaked
the fish market      | in     | land  | under the stalls        | the stones smelled of herring
the lighthouse       | by     | shore | behind the oil drums    | the white wall felt cold
the boatyard         | in     | sea   | under the upturned hulls | wood shavings lay in curls
the clock tower      | under  | land  | behind the little door  | the great hands ticked
the ferry landing    | at     | sea   | behind the ticket hut   | the chains clinked
Gull Rock            | on     | shore | in the cracks           | the gulls screamed
the salt marsh       | in     | shore | among the reeds         | the mud sucked at every boot
the tide pools       | by     | shore | under the seaweed       | little fish hid from shadows
the sea wall         | on     | sea   | behind the iron rings   | spray wet the stones
the bell house       | by     | land  | behind the bell rope    | pigeons cooed in the roof
the windmill         | by     | land  | between the flour sacks | the big sails groaned
the duck pond        | by     | land  | in the tall grass       | green weed covered the water
Crab Beach           | on     | shore | among the driftwood     | crabs ran sideways
the harbour bridge   | on     | sea   | below the railing       | the water ran fast below
the orchard          | in     | land  | under the plum trees    | wasps buzzed in the fallen fruit
the smokehouse       | behind | land  | behind the wood pile    | the smoke smelled of oak
the school yard      | in     | land  | under the swings        | chalk marks covered the ground
the town green       | on     | land  | under the round bench   | somebody had left a ball
Seal Cove            | in     | shore | behind the wet boulders | seals sang on the ledge
the coal wharf       | on     | sea   | between the black heaps | coal dust blackened every boot
the dunes            | in     | shore | in the hollows          | sand blew into every sock
Whale Point          | on     | shore | under the stone seat    | one could see the far islands
the fountain         | by     | land  | under the stone fish    | water dripped from the stone fish
"""

# label | words for the day | words for the night | what it does by day | and by night
_WEATHER = """
sun | sunny, bright, warm | starry, moonlit, clear | the sun shone | the moon shone
wind | windy, gusty, blustery | windy, gusty, blustery | the wind blew | the wind blew
rain | rainy, wet, dripping | rainy, wet, dripping | the rain fell | the rain fell
fog | foggy, misty, grey | foggy, misty, murky | the fog hung low | the fog hung low
snow | snowy, white, frosty | snowy, white, frosty | the snow drifted down | the snow drifted down
storm | stormy, wild, thundery | stormy, wild, thundery | the thunder rolled | the thunder rolled
calm | calm, quiet, still | calm, quiet, still | the water lay flat | the water lay flat
cold | cold, chilly, bitter | cold, chilly, bitter | the air bit every nose | the air bit every nose
"""

# how it is served | favourite foods
_FOODS = """
a bowl of  | fish soup, onion soup, rice pudding, pea soup, barley broth
a slice of | plum cake, apple pie, lemon cake, cherry pie
a plate of | hot toast, crab cakes, smoked herring, jam tarts, oat cakes
a dish of  | bean stew, mushroom stew, baked potatoes
a bag of   | honey buns, roast chestnuts
a loaf of  | seed bread, cheese bread
a jar of   | blackberry jam
a stack of | pancakes
a tin of   | ginger biscuits
"""

# group | words that fit every thing of the group | the things
_THINGS = """
metal | brass, copper, silver, tin, dented, shiny, tiny, old | key, bell, kettle, lantern, spoon, \
ladle, compass, \
whistle, thimble, hook, bucket, padlock, coin, buckle, candlestick, tray, medal, ring, \
watering can, funnel, horseshoe
wood | wooden, carved, oak, painted, polished, light, little, smooth | stool, box, comb, spool, \
bowl, ruler, \
paddle, rolling pin, picture frame, walking stick, birdhouse, clog, crate, bread board, mallet, \
rake, tub, drawer, bench
cloth | red, blue, green, yellow, striped, spotted, patched, woolly | scarf, hat, cap, apron, \
glove, sock, blanket, \
bag, flag, handkerchief, mitten, shawl, cushion, towel, coat, bonnet, purse, quilt, waistcoat, \
slipper
glass | white, blue, green, round, chipped, painted, tiny, heavy | cup, jug, bottle, vase, plate, \
teapot, jar, mug, \
pitcher, saucer, ink pot, lamp, butter dish, flowerpot, egg cup, basin, candle jar, soup dish
paper | stained, yellow, small, thin, creased, secret, old, torn | letter, map, notebook, card, \
drawing, songbook, \
calendar, ticket, recipe, list, postcard, picture book, diary, poster, envelope, star chart
toy | red, blue, green, yellow, painted, little, striped, bright | kite, drum, ball, \
spinning top, doll, puppet, \
marble, sailboat, hoop, rattle, rocking horse, whirligig, skipping rope, paper hat, pull cart, \
yo-yo, paper boat
tool | sturdy, worn, spare, long, trusty, heavy, good, fine | hammer, saw, file, chisel, needle, \
paintbrush, \
broom, spade, trowel, ladder, wrench, clamp, fish hook, oar, rope, anchor, net, pulley, crab pot, \
shovel
music | little, old, simple, funny, painted, battered, sweet, dear | fiddle, flute, horn, \
accordion, banjo, harp, \
trumpet, mouth organ, tambourine, music box, concertina, guitar, pipe, triangle, cymbal
find | pink, white, speckled, smooth, pale, curly, strange, pretty | shell, pebble, feather, \
starfish, pearl, \
cork, fossil, crystal, sea bean, piece of amber, button, bead
"""

TIMES = ("morning", "afternoon", "evening", "night")
LATER = {"morning": "noon", "afternoon": "sunset", "evening": "bedtime", "night": "sunrise"}
"""What the clock says at the end of a story that begins at that time of day."""


@dataclass(frozen=True)
class Trade:
    """A trade with the forms a sentence needs: ``base`` "mend", ``past`` "mended", ``ing``
    "mending", ``work`` "torn nets", ``tool`` "bone needle"."""

    name: str
    base: str
    past: str
    ing: str
    work: str
    tool: str


@dataclass(frozen=True)
class Pet:
    """An animal with an owner: its kind, its name, and how its kind cries and moves."""

    kind: str
    name: str
    cry: str
    move: str
    part: str
    likes: str


@dataclass(frozen=True)
class Person:
    """Somebody of Pufferfish Bay and all that is true of them."""

    name: str
    he: str
    trade: Trade
    home: str
    boat: str
    boat_colour: str
    pet: Pet
    food: str
    serving: str
    habit: str
    kin: str
    kin_word: str

    @property
    def him(self) -> str:
        """The pronoun as an object: her or him."""
        return "her" if self.he == "she" else "him"

    @property
    def his(self) -> str:
        """The pronoun of what a person owns: her or his."""
        return "her" if self.he == "she" else "his"

    @cached_property
    def neighbour(self) -> str:
        """The name of the other person who lives in the same street."""
        return next(
            other.name for other in PEOPLE if other.home == self.home and other.name != self.name
        )


@dataclass(frozen=True)
class Place:
    """A place outdoors: ``where`` is "on the old pier", ``side`` is shore, sea or land."""

    name: str
    where: str
    side: str
    nook: str
    sight: str


@dataclass(frozen=True)
class Weather:
    """One kind of weather; ``day`` and ``night`` hold the adjectives that fit those times."""

    label: str
    day: tuple[str, ...]
    night: tuple[str, ...]
    day_does: str
    night_does: str


@dataclass(frozen=True)
class Thing:
    """An object that can be carried, with the adjective it keeps for a whole story."""

    group: str
    adjective: str
    noun: str

    @property
    def name(self) -> str:
        """What stories call it, without an article: "blue ladle"."""
        return f"{self.adjective} {self.noun}"


def with_article(phrase: str) -> str:
    """Put "a" or "an" before ``phrase``; the first letter decides, which is enough for the words of
    this world.

    >>> with_article("old key"), with_article("blue ladle")
    ('an old key', 'a blue ladle')
    """
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def _rows(table: str) -> list[list[str]]:
    """Cut a table into rows of stripped cells."""
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def _words(cell: str) -> tuple[str, ...]:
    """Cut a cell at its commas."""
    return tuple(word.strip() for word in cell.split(","))


def _relatives() -> dict[str, tuple[str, str]]:
    """For every name: the relative's name and the word for that relative, such as ("Tobin",
    "brother")."""
    female = {row[0]: row[1] == "she" for row in _rows(_PEOPLE)}
    words = {
        "sibling": ("sister", "brother"),
        "twin": ("twin sister", "twin brother"),
        "cousin": ("cousin", "cousin"),
        "friend": ("best friend", "best friend"),
    }
    relatives = {}
    for kind, first, second in (
        (kind, *pair.split()) for kind, pairs in _rows(_KIN) for pair in _words(pairs)
    ):
        relatives[first] = (second, words[kind][0 if female[second] else 1])
        relatives[second] = (first, words[kind][0 if female[first] else 1])
    return relatives


def _people() -> tuple[Person, ...]:
    trades, habits = {}, {}
    for name, forms, work, tool, habit in _rows(_TRADES):
        base, past, ing = forms.split()
        trades[name], habits[name] = Trade(name, base, past, ing, work, tool), habit
    pets = {row[0]: row[1:] for row in _rows(_PETS)}
    relatives = _relatives()
    people = []
    for name, he, trade, home, boat, colour, pet, food in _rows(_PEOPLE):
        kind, pet_name = pet.split()
        people.append(
            Person(
                name=name,
                he=he,
                trade=trades[trade],
                home=home,
                boat=boat,
                boat_colour=colour,
                pet=Pet(kind, pet_name, *pets[kind]),
                food=food,
                serving=FOODS[food],
                habit=habits[trade].replace("~", "her" if he == "she" else "his"),
                kin=relatives[name][0],
                kin_word=relatives[name][1],
            )
        )
    return tuple(people)


FOODS: dict[str, str] = {
    food: serving for serving, foods in _rows(_FOODS) for food in _words(foods)
}
"""Every favourite food with the way it is served: "fish soup" comes as "a bowl of"."""
PEOPLE: tuple[Person, ...] = _people()
PERSON: dict[str, Person] = {person.name: person for person in PEOPLE}
PLACES: tuple[Place, ...] = tuple(
    Place(name, f"{preposition} {name}", side, nook, sight)
    for name, preposition, side, nook, sight in _rows(_PLACES)
)
WEATHERS: tuple[Weather, ...] = tuple(
    Weather(label, _words(day), _words(night), *does)
    for label, day, night, *does in _rows(_WEATHER)
)
THINGS: tuple[Thing, ...] = tuple(
    Thing(group, adjective, noun)
    for group, adjectives, nouns in _rows(_THINGS)
    for noun in _words(nouns)
    for adjective in _words(adjectives)
)
"""Every adjective with every noun of its group; a story picks one and keeps it."""
