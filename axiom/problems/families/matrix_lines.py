"""A matrix by lines: which lines, one number a line, one number in all."""

import random
import re

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, PREDICATES, finished, sentence

_LINES = {
    "rows": Option(0, "row", "m", lambda m: m),
    "columns": Option(1, "column", "[list(column) for column in zip(*m)]", lambda m: [[row[c] for row in m] for c in range(len(m[0]))]),
    "even_rows": Option(1, "row at an even index (0, 2, 4 and so on)", "m[::2]", lambda m: [row for i, row in enumerate(m) if not i & 1]),
    "inner_rows": Option(1, "row but the first", "m[1:]", lambda m: [row for i, row in enumerate(m) if i]),
    "diagonals": Option(4, "diagonal that runs down to the right (single cells in the corners are diagonals too)",
                        "[[m[r][r + d] for r in range(len(m)) if 0 <= r + d < len(m[0])] for d in range(1 - len(m), len(m[0]))]",
                        lambda m: _diagonals(m, -1)),
    "antidiagonals": Option(4, "diagonal that runs down to the left (single cells in the corners are diagonals too)",
                            "[[m[r][d - r] for r in range(len(m)) if 0 <= d - r < len(m[0])] for d in range(len(m) + len(m[0]) - 1)]",
                            lambda m: _diagonals(m, 1)),
}
_EACH = {
    "sum": Option(0, "the sum of {}", "sum({})", sum),
    "count": Option(0, "the number of {}", "len({})", len),
    "largest": Option(
        1, "the largest of {} (0 if there are none)", "max({}, default=0)", lambda ls: sorted(ls)[-1] if ls else 0
    ),
    "smallest": Option(
        1, "the smallest of {} (0 if there are none)", "min({}, default=0)", lambda ls: sorted(ls)[0] if ls else 0
    ),
    "distinct": Option(1, "the number of different values among {}", "len(set({}))", lambda ls: len(dict.fromkeys(ls))),
}
_ALL = {
    "sum": Option(0, "the sum of these numbers", "sum(values)", sum),
    "largest": Option(0, "the largest of these numbers (0 if there are none)", "max(values, default=0)", lambda ls: sorted(ls)[-1] if ls else 0),
    "smallest": Option(0, "the smallest of these numbers (0 if there are none)", "min(values, default=0)", lambda ls: sorted(ls)[0] if ls else 0),
    "place": Option(2, "the position of the first greatest of these numbers, counted from 0 (-1 if there are none)", "values.index(max(values)) if values else -1",
                    lambda ls: next((i for i, x in enumerate(ls) if all(x >= y for y in ls)), -1)),
    "alternating": Option(3, "the first of these numbers minus the second plus the third and so on", "sum(values[::2]) - sum(values[1::2])",
                          lambda ls: sum(x if i % 2 == 0 else -x for i, x in enumerate(ls))),
    "distinct": Option(1, "how many different values these numbers have", "len(set(values))", lambda ls: len(dict.fromkeys(ls))),
}
_KEEP = {name: PREDICATES[name] for name in ("all", "even", "odd", "positive", "negative", "above_3", "above_5", "below_4", "below_7")} | {
    name: Option(2, PREDICATES[name].words, PREDICATES[name].code, PREDICATES[name].run) for name in ("multiple_3", "not_multiple_3", "between_0_6", "outside_-2_7", "digit_sum_even")
}


def _diagonals(m: list[list[int]], sign: int) -> list[list[int]]:
    lines: dict[int, list[int]] = {}
    for r, row in enumerate(m):
        for c, x in enumerate(row):
            lines.setdefault(c + sign * r, []).append(x)
    return [lines[key] for key in sorted(lines)]


def describe(v: Variant) -> str:
    items = f"its {v['keep'].words}"
    order = " Take the diagonals from the left one to the right one." if "diagonal" in v["line"].words else ""
    if "down to the right" in v["line"].words:
        order = " Take the diagonals from the one in the lower left corner to the one in the upper right corner."
    elif order:
        order = " Take the diagonals from the one in the upper left corner to the one in the lower right corner."
    return sentence(f"m is a matrix, a list of rows of equal length. For each {v['line'].words} take {v['each'].words.format(items)}.{order}",
                    f"Return {v['all'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    items = f"[x for x in line if {v['keep'].code}]" if v["keep"].code else "line"
    return function(
        FAMILY.signature,
        f"values = [{v['each'].code.format(items)} for line in {v['line'].code}]",
        f"return {finished(v['finish'], v['all'].code)}",
    )


def solve(v: Variant, m: list[list[int]]) -> int:
    values = [v["each"].run([x for x in line if v["keep"].run(x)]) for line in v["line"].run(m)]
    return v["finish"].run(v["all"].run(values))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[list[list[int]]]:
    """A matrix with at least one cell; wide, tall and square ones."""
    height, width = {"empty": (1, 1), "single": (1, rng.randint(1, 5)), "zero": (rng.randint(5, 6), rng.randint(1, 2)), "small": (2, rng.randint(2, 3)), "long": (max(5, size // 2), 1 + size // 2)}.get(
        stratum, (rng.randint(2, 2 + size // 3), rng.randint(1, 2 + size // 3)))
    top = 2**61 if stratum == "big" else 0
    low, high = {"negative": (-20, -1), "zero": (-1, 1), "repeated": (1, 3), "small": (-4, 9)}.get(stratum, (-15, 20))
    if rng.random() < 0.75:  # a narrow window around a bound of the condition, where the condition shows
        bound = int(rng.choice(re.findall(r"-?\d+", v["keep"].code) or ["0"]))
        low = bound - rng.randint(0, 3)
        high = low + 3
    return [[[rng.randint(low, high) + rng.choice((0, top)) for _ in range(width)] for _ in range(height)]]


FAMILY = Family(
    name="matrix_lines", title="Lines of a matrix", entry_point="lines_of", parameters="m: list[list[int]]", returns="int",
    axes={"line": _LINES, "keep": _KEEP, "each": _EACH, "all": _ALL, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: v["keep"].code,
)
