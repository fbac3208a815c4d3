"""Words to fill practice with: things of a harbour town, and words that do not exist, so that
spelling is copied."""

from functools import cache

from tinylm.corpora.chance import Chance
from tinylm.corpora.stories import vocabulary

KINDS = {  # words that take each other's place, so that a day stays a day
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November "
    "December",
    "ordinal": "second third fourth fifth sixth seventh eighth ninth tenth",
    "count": "two three four five six seven eight nine ten eleven twelve fifteen nineteen twenty",
    "colour": "red green blue yellow brown grey white black orange violet pink purple amber "
    "copper silver golden",
}
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words.split()}
# Words that carry the grammar; they stay.
_COMMON = """
a about above after all an and any anyone are as at be before begins below between but by called \
can cost costs
day days does each every first for from get gets give given hang has have he her his how hours if \
in into is it
its kept last let long many may member minutes month months more most much must no nobody not of \
on once one or
other our out over own paid pay pays person she so than that the their them then there they this \
times to until
up we weeks what when where which who whole whom whose will with within year years you your \
crowns metres
"""
_WORDS = """
anchor apple apron badge barrel basket bell bench blanket boot bottle bowl bridge broom bucket \
button candle
carpet cellar chain chair cheese chest clock cloth coat cork crate cup curtain desk donkey door \
drum engine
feather fence flag flour forge garden gate glass goat goose hammer handle harp hat hedge hook \
horn horse jacket
jar kettle kite ladder lamp lantern leather letter lime magnet map marble mast meadow mirror \
mitten needle net
nut oar onion oven paddle page paint pear pebble pepper pillow pipe plank plate pony pump quilt \
raft rake ribbon
ring rope saddle sail salt saw school shelf shovel slate soap spade sponge spoon stamp stove \
string swan table
tailor teapot tent thimble tower trumpet tunnel turnip umbrella valley wagon walnut wheel whistle \
window wool
"""
# Beginnings, middles and ends of English syllables: made-up words meet nearly all pieces that words
# are cut into.
_ONSETS = """
b bl br c ch cl cr d dr f fl fr g gl gr h j k kn l m n p ph pl pr qu r s sc sh shr sk sl sm sn sp \
spr st str sw t th
thr tr tw v w wh wr y z
"""
_VOWELS = "a e i o u a e i o u ai au aw ay ea ee ei eu ew ey ia ie io oa oo ou ow oy ue y"
_CODAS = """
b ck d dge ff ft g ght k l ld ll lm lt m mp n nce nd ng nk nt p pt r rd rk rl rm rn rs rt s se sh \
sk ss st t tch te th
ve w x
"""
COMMON, WORDS, ONSETS, VOWELS, CODAS = (
    text.split() for text in (_COMMON, _WORDS, _ONSETS, _VOWELS, _CODAS)
)


def new_word(chance: Chance) -> str:
    """A word of the town, of its stories, or one that does not exist, so that spelling is copied
    and not guessed."""
    if chance.happens(0.3):
        return chance.pick(WORDS)
    return chance.pick(story_words()) if chance.happens(0.4) else made_up(chance)


@cache
def story_words() -> list[str]:
    """The longer words of the stories."""
    return sorted(
        word for word in vocabulary() if len(word) > 3 and word.isalpha() and word not in COMMON
    )


def made_up(chance: Chance) -> str:
    """One to three syllables, such as "scouth" or "blewerond"."""
    count = chance.pick((1, 2, 2, 3))
    word = "".join(chance.pick(ONSETS) + chance.pick(VOWELS) for _ in range(count))
    return word + chance.pick(CODAS) if chance.happens(0.8) else word
