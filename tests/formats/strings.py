"""Texts of all kinds, to compare tokenizers by."""

import random
import unicodedata

WORDS = "the net Mara's o'clock DON'T we'll I'VE they'd naïve Zoë straße Ελλάδα море 東京 नमस्ते عربى"
MORE = "ﬁn e\u0301te Å한국어 ไทย 2018 3.14 1,000 ½ ² Ⅷ ٣٤ 12345678 x2y _a_ C++ e-mail's 's 'S 't"
SIGNS = [*"!?.,;:'\"()[]{}<>|/\\#@&%$€+-=*^~`—…«»’“”▂", "...", "!!", "'''", "--", "<|", "|>"]
BLANKS = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "\u00a0", "\u3000", "\u2028"]
EMOJI = ["😀", "👩\u200d🚀", "🏳️\u200d🌈", "1️⃣"]
NAMES = ["<|document|>", "<|im_end|>", "<s>", "<0x0A>", "[PAD3]"]


def varied_texts(count: int, seed: int = 0) -> list[str]:
    """`count` different texts of 1 to 12 pieces: words, numbers, signs, blanks, any characters."""
    draw = random.Random(seed)
    kinds = [[*WORDS.split(), *MORE.split()], SIGNS, BLANKS, EMOJI + NAMES, [None]]
    texts: set[str] = set()
    while len(texts) < count:
        pieces = draw.choices(kinds, weights=[8, 3, 8, 1, 1], k=draw.randint(1, 12))
        texts.add("".join(draw.choice(kind) or any_character(draw) for kind in pieces))
    return sorted(texts)


def any_character(draw: random.Random) -> str:
    """A character of any script that Unicode 15 knows, controls included."""
    while True:
        sign = chr(draw.choice([draw.randrange(0x3000), draw.randrange(0x20000)]))
        # Half characters are no text; what is not assigned yet changes with the year.
        if unicodedata.category(sign) not in ("Cs", "Cn", "Co"):
            return sign
