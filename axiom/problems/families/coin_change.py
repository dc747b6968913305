"""Paying an amount with coins: which coins, how many of each, what is counted."""

import functools
import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_COINS = {",".join(map(str, coins)): Option(0, ", ".join(map(str, coins)), repr(coins), coins)
          for coins in ((1, 2, 5), (1, 3, 4), (2, 3, 7), (1, 5, 10), (2, 5), (3, 5), (4, 7), (1, 4, 6), (1, 2, 3), (3, 4, 5), (2, 4, 7), (1, 6, 9), (5, 6, 7), (1, 2, 4, 8))}
_QUESTIONS = {
    "ways": Option(2, "in how many ways the coins can add up to n (which coins and how many of each matters, their order does not)", "ways", None),
    "orders": Option(2, "how many different sequences of coins add up to n", "orders", None),
    "fewest": Option(6, "the least number of coins that add up to n, or -1 if none do", "fewest", None),
    "most": Option(6, "the greatest number of coins that add up to n, or -1 if none do", "most", None),
    "possible": Option(3, "1 if some coins add up to n, else 0", "possible", None),
    "below": Option(5, "the greatest sum not above n that coins can add up to (no coins give 0)", "below", None),
    "gaps": Option(3, "how many of the amounts from 0 to n coins cannot add up to (no coins give 0)", "gaps", None),
}
_EACH = {"any": Option(0, "There are enough coins of each value.", "", None)} | {
    str(k): Option(2, f"There {'is only 1 coin' if k == 1 else f'are only {k} coins'} of each value.", str(k), k)
    for k in (1, 2, 3, 4)
}
_AMOUNT = {
    "n": Option(0, "", "", lambda n: n),
    "plus_5": Option(1, "In what follows take n + 5 in place of n.", "n + 5", lambda n: 5 + n),
    "plus_3": Option(1, "In what follows take n + 3 in place of n.", "n + 3", lambda n: 3 + n),
    "half": Option(1, "In what follows take n // 2 (rounded down) in place of n.", "n // 2", lambda n: n >> 1),
}
_BOUNDED = {name: option for name, option in _QUESTIONS.items() if name != "orders"}
_LIMITED = {name: option for name, option in _EACH.items() if name != "any"}


def describe(v: Variant) -> str:
    return sentence(f"Coins have the values {v['coins'].words}.", v["each"].words, "n is a natural number or 0.", v["amount"].words,
                    f"Return {v['question'].words}.", v["finish"].words)


_UNBOUNDED = {
    "ways": ("[1] + [0] * n", "for coin in {coins}:\n    for k in range(coin, n + 1):\n        table[k] += table[k - coin]", "table[n]"),
    "orders": ("[1] + [0] * n", "for k in range(1, n + 1):\n    table[k] = sum(table[k - coin] for coin in {coins} if coin <= k)", "table[n]"),
    "fewest": ("[0] + [-1] * n", "for k in range(1, n + 1):\n    table[k] = min((table[k - coin] + 1 for coin in {coins} if coin <= k and table[k - coin] >= 0), default=-1)", "table[n]"),
    "most": ("[0] + [-1] * n", "for k in range(1, n + 1):\n    table[k] = max((table[k - coin] + 1 for coin in {coins} if coin <= k and table[k - coin] >= 0), default=-1)", "table[n]"),
    "possible": ("[1] + [0] * n", "for k in range(1, n + 1):\n    table[k] = max((table[k - coin] for coin in {coins} if coin <= k), default=0)", "table[n]"),
    "below": ("[1] + [0] * n", "for k in range(1, n + 1):\n    table[k] = max((table[k - coin] for coin in {coins} if coin <= k), default=0)", "max(k for k in range(n + 1) if table[k])"),
    "gaps": ("[1] + [0] * n", "for k in range(1, n + 1):\n    table[k] = max((table[k - coin] for coin in {coins} if coin <= k), default=0)", "table.count(0)"),
}
_FROM_PAYMENTS = {
    "ways": "counts.count(n)" , "fewest": "min((c for total, c in payments if total == n), default=-1)",
    "most": "max((c for total, c in payments if total == n), default=-1)", "possible": "1 if n in counts else 0",
    "below": "max(total for total in counts if total <= n)", "gaps": "sum(1 for k in range(n + 1) if k not in counts)",
}


def program(v: Variant) -> str:
    kind, coins, limit = v["question"].code, v["coins"].code, v["each"].code
    step = f"n = {v['amount'].code}" if v["amount"].code else ""
    if not limit:
        start, loop, result = _UNBOUNDED[kind]
        return function(
            FAMILY.signature,
            step,
            f"table = {start}",
            loop.format(coins=coins),
            f"return {finished(v['finish'], result)}",
        )
    return function(FAMILY.signature, step, "payments = [(0, 0)]", f"for coin in {coins}:",
                    f"    payments = [(total + used * coin, c + used) for total, c in payments for used in range({int(limit) + 1})]",
                    "counts = [total for total, _ in payments]", f"return {finished(v['finish'], _FROM_PAYMENTS[kind])}")


def solve(v: Variant, n: int) -> int:
    n, coins = v["amount"].run(n), v["coins"].run
    kind, limit = v["question"].code, v["each"].run
    if kind == "orders":
        return v["finish"].run(_sequences(n, coins))
    bags = _bags(n, coins, n if limit is None else limit)
    exact = [count for total, count in bags if total == n]
    reachable = {total for total, _ in bags}
    answers = {"ways": len(exact), "fewest": min(exact, default=-1), "most": max(exact, default=-1), "possible": int(n in reachable),
               "below": max(reachable), "gaps": n + 1 - len(reachable)}
    return v["finish"].run(answers[kind])


def _bags(n: int, coins: tuple[int, ...], limit: int) -> list[tuple[int, int]]:
    """Sum and number of coins of every bag that is worth at most n."""
    if not coins:
        return [(0, 0)]
    *rest, coin = coins
    return [
        (uses * coin + total, uses + count)
        for uses in range(min(limit, n // coin) + 1)
        for total, count in _bags(n - uses * coin, tuple(rest), limit)
    ]


@functools.lru_cache(100_000)
def _sequences(rest: int, coins: tuple[int, ...]) -> int:
    return sum(_sequences(rest - c, coins) for c in coins if c <= rest) if rest else 1


def sample(_v: Variant, rng: random.Random, stratum: str, _size: int) -> list[int]:
    """An amount up to 50."""
    if stratum in ("empty", "zero", "single"):
        return [0 if stratum == "empty" else rng.choice((0, 1, 2, 3))]
    return [rng.randint(2, 14) if stratum == "small" else rng.randint(3, 50)]


FAMILY = Family(
    name="coin_change", title="Paying with coins", entry_point="pay", parameters="n: int", returns="int",
    axes=(
        {"coins": _COINS, "question": _QUESTIONS, "each": {"any": _EACH["any"]}, "amount": _AMOUNT, "finish": FINISH},
        {"coins": _COINS, "question": _BOUNDED, "each": _LIMITED, "amount": _AMOUNT, "finish": FINISH},
    ),
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
