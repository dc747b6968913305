"""Arguments by stratum. Hidden cases take the strata in turn, so none of these goes untested."""

import random
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
    "typical",
    "big",
    "zero",
    "long",
    "typical",
    "negative",
)
"""In the order hidden cases are drawn; drawers treat a stratum that says nothing to them as typical."""

BIG = 2**53
"""Above this a float no longer holds every integer: a candidate that divides with `/` goes wrong."""

Drawer = Callable[[random.Random, str, int], Any]


def of(*drawers: Drawer) -> Callable[[Variant, random.Random, str, int], list[Any]]:
    """A sampler that draws each argument by itself, whatever the variant."""

    def sample(_variant: Variant, rng: random.Random, stratum: str, size: int) -> list[Any]:
        return [draw(rng, stratum, size) for draw in drawers]

    return sample


def number(rng: random.Random, stratum: str, size: int, low: int = -30, high: int = 30) -> int:
    """One integer; `size` plays no part."""
    if stratum == "zero" or stratum == "empty":
        return max(low, 0)
    if stratum == "big":
        return rng.randrange(BIG, 4 * BIG) * rng.choice((1, -1) if low < 0 else (1,))
    if stratum == "negative" and low < 0:
        return rng.randint(low, -1)
    return rng.randint(low, high)


def ints(rng: random.Random, stratum: str, size: int) -> list[int]:
    """A list of integers, of both signs unless the stratum says otherwise."""
    if stratum == "empty":
        return []
    length = {"single": 1, "small": rng.randint(3, 5), "long": 3 * size}.get(stratum, rng.randint(3, max(4, size)))
    if stratum == "repeated":
        pool = [rng.randint(-9, 12) for _ in range(max(2, length // 3))]
        return [rng.choice(pool) for _ in range(length)]
    if stratum == "zero":
        return [rng.choice((0, 0, 1, -1, 2)) for _ in range(length)]
    if stratum == "small":
        return [rng.randint(-5, 12) for _ in range(length)]
    return [number(rng, stratum if rng.random() < 0.7 else "typical", size) for _ in range(length)]


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
    return "".join(rng.choice(letters) for _ in range(length))
