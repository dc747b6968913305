"""Arguments by stratum. Hidden cases take the strata in turn, so none of these goes untested."""

import random
import re
import string
from collections.abc import Callable
from typing import Any

from axiom.problems.space import Variant

STRATA = (
    "typical",
    "empty",
    "negative",
    "long",
    "single",
    "repeated",
    "big",
    "zero",
    "typical",
    "long",
    "big",
    "negative",
)
"""In the order hidden cases are drawn; drawers treat a stratum that says nothing to them as typical."""

CONSTANTS_SHARE = 0.5
"""Share of arguments that get constants of the program."""

_NUMBERS = re.compile(r"(?<![\w.'])\d{1,3}\b")
_LITERALS = re.compile(r"'([^'\n]{1,12})'")

BIG = 2**53
"""Above this a float no longer holds every integer: a candidate that divides with `/` goes wrong."""

Drawer = Callable[[random.Random, str, int], Any]


_FACTORS_AND_SHIFTS = [(factor, shift) for factor in (1, 1, 1, 1, -1, 2, 3) for shift in (0, 0, -1, 1)]


class Quick(random.Random):
    """A stream whose small draws are several times quicker than those of `random.Random`, and as good below 2**40."""

    def choice(self, items: Any) -> Any:
        """One of a sequence."""
        return items[int(self.random() * len(items))]

    def randint(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        span = high - low + 1
        if 0 < span < 2**40:
            return low + int(self.random() * span)
        return super().randint(low, high)


class Hints:
    """Constants of a reference solution, to be put into arguments: mutants differ at the boundaries."""

    def __init__(self, source: str) -> None:
        body = source.partition(":\n")[2]
        self.numbers = [int(digits) for digits in _NUMBERS.findall(body)] or [0]
        self.texts = [character for literal in _LITERALS.findall(body) for character in literal]

    def with_constants(self, args: list[Any], rng: random.Random, share: float = CONSTANTS_SHARE) -> list[Any]:
        """Arguments in a `share` of which some items are now a constant of the program, or next to one."""
        return [self._replaced(arg, rng) if arg and rng.random() < share else arg for arg in args]

    def _replaced(self, arg: Any, rng: random.Random) -> Any:
        share = rng.choice((0.2, 0.6, 1.0))
        if isinstance(arg, str):
            texts = self.texts or [" "]
            inner = "".join(rng.choice(texts) if rng.random() < share / 2 else character for character in arg)
            return rng.choice((inner, inner, f" {inner}", f"{inner} "))
        if isinstance(arg, list) and isinstance(arg[0], int):
            return [self._near(rng) if rng.random() < share else number for number in arg]
        return arg

    def _near(self, rng: random.Random) -> int:
        factor, shift = rng.choice(_FACTORS_AND_SHIFTS)
        return rng.choice(self.numbers) * factor + shift


class Independent:
    """A sampler that draws each argument by itself, whatever the variant, so that its probes can be kept."""

    def __init__(self, drawers: tuple[Drawer, ...]) -> None:
        self._drawers = drawers

    def __call__(self, _variant: Variant, rng: random.Random, stratum: str, size: int) -> list[Any]:
        """One argument of each drawer."""
        return [draw(rng, stratum, size) for draw in self._drawers]


def one_language(_variant: Variant) -> None:
    """The language of a sampler that looks at no choice of the variant."""


def of(*drawers: Drawer) -> Independent:
    """A sampler of arguments that are drawn one by one."""
    return Independent(drawers)


def within(rng: random.Random, low: int, high: int) -> int:
    """An integer from `low` to `high`, several times quicker than `randint`; the span must be far below 2**53."""
    return low + int(rng.random() * (high - low + 1))


def huge(rng: random.Random) -> int:
    """A number far enough above BIG that a detour through a float shows in its last digits."""
    return 2**60 + rng.getrandbits(69)


def number(rng: random.Random, stratum: str, size: int, low: int = -30, high: int = 30) -> int:
    """One integer; `size` plays no part."""
    if stratum in ("zero", "empty"):
        return max(low, 0)
    if stratum == "big":
        return huge(rng) * rng.choice((1, -1) if low < 0 else (1,))
    if stratum == "negative" and low < 0:
        return within(rng, low, -1)
    return within(rng, low, high)


def ints(rng: random.Random, stratum: str, size: int) -> list[int]:
    """A list of integers, of both signs unless the stratum says otherwise."""
    if stratum == "empty":
        return []
    length = {"small": rng.randint(3, 5), "long": 3 * size}.get(stratum, rng.randint(3, max(4, size)))
    if stratum == "repeated":
        pool = [within(rng, -9, 12) for _ in range(max(2, length // 3))]
        return rng.choices(pool, k=length)
    if stratum == "zero":
        return rng.choices((0, 0, 1, -1, 2), k=length)
    if stratum == "small":
        return [within(rng, -5, 12) for _ in range(length)]
    if stratum == "single":
        return [number(rng, rng.choice(("typical", "negative", "big")), size)]
    share = rng.choice((0.6, 1.0))
    return [number(rng, stratum if rng.random() < share else "typical", size) for _ in range(length)]


def text(rng: random.Random, stratum: str, size: int, alphabet: str = "") -> str:
    """A string of letters, now and then with digits and spaces."""
    if stratum == "empty":
        return ""
    letters = alphabet or (string.ascii_letters if stratum in ("typical", "big") else string.ascii_lowercase)
    length = {"single": 1, "small": rng.randint(3, 7), "long": 4 * size}.get(stratum, rng.randint(3, max(5, size)))
    if stratum == "repeated":
        letters = rng.choice(letters) + rng.choice(letters) + "a"
    elif stratum in ("zero", "negative", "long") and not alphabet:
        letters += "aeiou   0123456789-"
    return "".join(rng.choices(letters, k=length))


def mirrored(rng: random.Random, stratum: str, size: int) -> str:
    """A string that often reads the same backwards, now and then with one character changed."""
    if stratum == "empty":
        return ""
    half = text(rng, stratum, max(2, size // 2), "abcAB1 -e" if stratum != "small" else "abce")
    middle = rng.choice(("", rng.choice("abcde")))
    whole = list(half + middle + half[::-1]) if rng.random() < 0.75 else list(half)
    if whole and rng.random() < 0.3:
        whole[rng.randrange(len(whole))] = rng.choice("abcAB1 ")
    return "".join(whole)


def sentence(rng: random.Random, stratum: str, size: int) -> str:
    """Words of letters with single spaces between them, some of them twice."""
    if stratum == "empty":
        return ""
    count = {"single": 1, "small": rng.randint(2, 3), "long": 2 * size}.get(stratum, rng.randint(2, max(3, size)))
    if stratum in ("zero", "big", "single") or (stratum == "long" and rng.random() < 0.5):
        return " ".join("".join(rng.choices("aeiolstT", k=rng.choice((1, 1, 2, 3)))) for _ in range(count))
    vocabulary = [word(rng) for _ in range(max(2, count // 2 if stratum == "repeated" else count))]
    return " ".join(rng.choice(vocabulary) for _ in range(count))


def word(rng: random.Random) -> str:
    """A word of one to eight letters, sometimes capitalised, sometimes a palindrome."""
    letters = [rng.choice("aeioubdlmnrstxz") for _ in range(rng.choice((1, 1, 2, 3, 3, 4, 5, 8)))]
    if rng.random() < 0.15:
        letters += letters[::-1]
    made = "".join(letters)
    return made.capitalize() if rng.random() < 0.25 else made


def between(low: int, high: int) -> Drawer:
    """A drawer of integers from `low` to `high`, the ends more often than the rest; small ones for examples."""

    def draw(rng: random.Random, stratum: str, _size: int) -> int:
        if stratum in ("empty", "single"):
            return rng.choice((low, low + 1, low + 2))
        if stratum in ("long", "big"):
            return rng.randint((low + high) // 2, high)
        if stratum == "small":
            return rng.randint(max(low, 1), max(low, min(high, 20)))
        return rng.randint(low, high)

    return draw


def wide(rng: random.Random, stratum: str, size: int) -> int:
    """A natural number of any length up to far beyond 64 bits."""
    if stratum in ("empty", "single", "zero"):
        return rng.randint(0, 17) if stratum == "single" else 0
    if stratum == "big":
        few = "".join(rng.choices(rng.choices("123456789", k=2), k=rng.randint(17, 20)))
        return int(few) if rng.random() < 0.5 else rng.randrange(BIG, 2**70)
    digits = {"small": rng.randint(2, 4), "long": 2 * size}.get(stratum, rng.randint(1, max(2, size)))
    if stratum == "repeated":
        return int("".join(rng.choices(rng.choices("0123456789", k=2), k=digits)))
    return rng.randrange(10**digits)
