"""Placing pieces on a board so that none attacks another: how they move, where they may not stand."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_ATTACKS = {
    "rook": Option(2, "in the same column", "c == d", lambda dr, dc: dc == 0),
    "bishop": Option(2, "on a common diagonal", "abs(c - d) == k - r", lambda dr, dc: abs(dc) == dr),
    "queen": Option(3, "in the same column or on a common diagonal", "c == d or abs(c - d) == k - r", lambda dr, dc: dc in (0, dr, -dr)),
    "near": Option(3, "in neighbouring rows and in columns that differ by at most 1", "k - r == 1 and abs(c - d) <= 1", lambda dr, dc: dr == 1 and dc in (-1, 0, 1)),
    "near_rook": Option(4, "in the same column, or in neighbouring rows and columns that differ by at most 1", "c == d or (k - r == 1 and abs(c - d) <= 1)",
                        lambda dr, dc: not dc or (dr == 1 and abs(dc) == 1)),
    "knight": Option(4, "a chess knight's move apart", "(k - r) * abs(c - d) == 2", lambda dr, dc: {dr, abs(dc)} == {1, 2}),
    "knight_rook": Option(5, "in the same column or a chess knight's move apart", "c == d or (k - r) * abs(c - d) == 2", lambda dr, dc: not dc or {dr, abs(dc)} == {1, 2}),
    "queen_knight": Option(6, "in the same column, on a common diagonal or a chess knight's move apart", "c == d or abs(c - d) == k - r or (k - r) * abs(c - d) == 2",
                           lambda dr, dc: dc in (0, dr, -dr) or {dr, abs(dc)} == {1, 2}),
    "falling": Option(2, "so that the one in the lower row (of greater index) has a column of greater or equal index", "d >= c", lambda dr, dc: dc > -1),
    "rising": Option(2, "so that the one in the lower row (of greater index) has a column of smaller or equal index", "d <= c", lambda dr, dc: dc <= 0),
}
_SQUARES = {
    "all": Option(0, "", "", lambda n, r, c: True),
    "no_diagonal": Option(
        1, "No piece may stand on the main diagonal (column equal to row).", "d != k", lambda n, r, c: r - c != 0
    ),
    "no_corner": Option(1, "No piece may stand in column 0.", "d != 0", lambda n, r, c: c > 0),
    "no_last": Option(1, "No piece may stand in the last column.", "d != n - 1", lambda n, r, c: c + 1 < n),
    "dark": Option(
        1,
        "No piece may stand where row plus column is a multiple of 3.",
        "(k + d) % 3 != 0",
        lambda n, r, c: (r + c) // 3 * 3 != r + c,
    ),
}
_RESULTS = {
    "corner": Option(1, "the number of such placements with a piece in column 1", "sum(1 for p in found if 1 in p)", lambda ps: len([p for p in ps if p.count(1)])),
    "sums": Option(3, "how many different sums of the columns of its pieces such placements have", "len({sum(p) for p in found})", lambda ps: len(dict.fromkeys(map(sum, ps)))),
    "count": Option(0, "the number of such placements", "sum(1 for _ in found)", lambda ps: len(ps)),
    "even": Option(1, "the number of such placements whose piece in row 0 stands in an even column", "sum(1 for p in found if p[0] % 2 == 0)",
                   lambda ps: len([p for p in ps if not p[0] & 1])),
    "first": Option(2, "the sum of row times column over the pieces of the placement that comes first when placements are compared column by column from row 0 on (-1 if there is none)",
                    "sum(r * c for r, c in enumerate(found[0])) if found else -1", lambda ps: sum(r * c for r, c in enumerate(min(ps))) if ps else -1),
    "largest": Option(2, "the greatest sum of row times column over the pieces of one placement (-1 if there is none)",
                      "max((sum(r * c for r, c in enumerate(p)) for p in found), default=-1)", lambda ps: max((sum(r * c for r, c in enumerate(p)) for p in ps), default=-1)),
}


def describe(v: Variant) -> str:
    return sentence("On a board of n rows and n columns, one piece is to stand in each row; rows and columns are numbered from 0. The square in row r and column blocked[r], if there is one, stays empty.",
                    f"No two pieces may stand {v['attack'].words}.", v["square"].words, f"Return {v['result'].words}.", v["finish"].words)


def program(v: Variant) -> str:
    square = f" and {v['square'].code}" if v["square"].code else ""
    return function(
        FAMILY.signature, "found = [[]]", "for k in range(n):", "    found = [", "        p + [d]", "        for p in found", "        for d in range(n)",
        f"        if d != blocked[k]{square} and not any({v['attack'].code} for r, c in enumerate(p))", "    ]",
        f"return {finished(v['finish'], v['result'].code)}",
    )


def solve(v: Variant, n: int, blocked: list[int]) -> int:
    free = [[c for c in range(n) if c != blocked[r] and v["square"].run(n, r, c)] for r in range(n)]
    return v["finish"].run(v["result"].run(_placements(v, free, ())))


def _placements(v: Variant, free: list[list[int]], above: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every placement whose first rows are `above`, one row at a time."""
    row = len(above)
    if row == len(free):
        return [above]
    safe = [c for c in free[row] if not any(v["attack"].run(row - r, c - other) for r, other in enumerate(above))]
    return [whole for c in safe for whole in _placements(v, free, (*above, c))]


def sample(_v: Variant, rng: random.Random, stratum: str, _size: int) -> list[object]:
    """A board of one to six rows, each with one blocked column."""
    n = {"empty": 1, "single": rng.choice((2, 3)), "small": rng.choice((3, 4, 5)), "long": 6, "big": 5}.get(
        stratum, rng.choice((4, 5, 5))
    )
    width = n + 2 if stratum in ("small", "typical", "repeated") else n  # a column beyond the board blocks nothing
    return [n, [rng.randrange(width) for _ in range(n)]]


FAMILY = Family(
    name="queens", title="Pieces that must not attack", entry_point="placements", parameters="n: int, blocked: list[int]", returns="int",
    axes={"attack": _ATTACKS, "square": _SQUARES, "result": _RESULTS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language, patience=16,
)
