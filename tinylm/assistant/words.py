"""Words to fill practice with: things of a harbour town, and words that do not exist, so that spelling is copied."""

from tinylm.text.corpora.chance import Chance

KINDS = {  # words that take each other's place, so that a day stays a day
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "ordinal": "second third fourth fifth sixth seventh eighth ninth tenth",
    "count": "two three four five six seven eight nine ten eleven twelve fifteen nineteen twenty",
    "colour": "red green blue yellow brown grey white black orange violet pink purple amber copper silver golden",
}
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words.split()}
# Words that carry the grammar; they stay.
_COMMON = """
a about above after all an and any anyone are as at be before begins below between but by called can cost costs
day days does each every first for from get gets give given hang has have he her his how hours if in into is it
its kept last let long many may member minutes month months more most much must no nobody not of on once one or
other our out over own paid pay pays person she so than that the their them then there they this times to until
up we weeks what when where which who whole whom whose will with within year years you your crowns metres
"""
_WORDS = """
anchor apple apron badge barrel basket bell bench blanket boot bottle bowl bridge broom bucket button candle
carpet cellar chain chair cheese chest clock cloth coat cork crate cup curtain desk donkey door drum engine
feather fence flag flour forge garden gate glass goat goose hammer handle harp hat hedge hook horn horse jacket
jar kettle kite ladder lamp lantern leather letter lime magnet map marble mast meadow mirror mitten needle net
nut oar onion oven paddle page paint pear pebble pepper pillow pipe plank plate pony pump quilt raft rake ribbon
ring rope saddle sail salt saw school shelf shovel slate soap spade sponge spoon stamp stove string swan table
tailor teapot tent thimble tower trumpet tunnel turnip umbrella valley wagon walnut wheel whistle window wool
"""
_SYLLABLES = """
ba be bi bo bu da de di do du fa fe fi fo ga ge go ha he hi ho ja jo ka ke ki ko la le li lo lu ma me mi mo mu na
ne ni no pa pe pi po ra re ri ro ru sa se si so ta te ti to tu va ve vi wa we wi ya zo
"""
_ENDINGS = "n l r s t ck rd nt ll sh th x m st"
COMMON, WORDS, SYLLABLES, ENDINGS = (text.split() for text in (_COMMON, _WORDS, _SYLLABLES, _ENDINGS))


def new_word(chance: Chance) -> str:
    """A word of the town, or one that does not exist, so that spelling is copied and not guessed."""
    if chance.happens(0.5):
        return chance.pick(WORDS)
    middle = chance.pick(SYLLABLES) if chance.happens(0.5) else ""
    return chance.pick(SYLLABLES) + middle + chance.pick(SYLLABLES) + chance.pick(ENDINGS)
