"""A walker on a grid: how the letters move it, how far, what the edge does, what is asked."""

import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_COMPASS = {
    "rlud": Option(0, "'R' adds {k} to x, 'L' subtracts {k} from x, 'U' adds 1 to y, 'D' subtracts 1 from y", "RLUD", None),
    "diagonal": Option(1, "'R' adds {k} to x and 1 to y, 'L' subtracts {k} from x and 1 from y, 'U' subtracts 1 from x and adds 1 to y, 'D' adds 1 to x and subtracts 1 from y", "RLUD", None),
    "knight": Option(1, "'R' adds {k} to x and 2 to y, 'L' subtracts {k} from x and adds 2 to y, 'U' adds 2 to x and subtracts 1 from y, 'D' subtracts 2 from x and 1 from y", "RLUD", None),
}
_MOVES = {
    "rlud": lambda k: {"R": (k, 0), "L": (-k, 0), "U": (0, 1), "D": (0, -1)},
    "diagonal": lambda k: {"R": (k, 1), "L": (-k, -1), "U": (-1, 1), "D": (1, -1)},
    "knight": lambda k: {"R": (k, 2), "L": (-k, 2), "U": (2, -1), "D": (-2, -1)},
}
_STRIDES = {str(k): Option(0, str(k), str(k), k) for k in (1, 2, 3)}
_EDGES = {"none": Option(0, "", "", lambda n: n)} | {
    f"{how}_{k}": Option(2, words.format(k=k, m=k - 1), code.format(k=k, m=k - 1), lambda n, run=run, k=k: run(n, k))
    for k in (4, 5, 7) for how, words, code, run in (
        ("wrap", "After each step x and y are taken modulo {k} (0 to {m}).", "x, y = x % {k}, y % {k}", lambda n, k: n - n // k * k),
        ("clip", "After each step x and y are brought into 0 to {m}: what is below becomes 0, what is above {m}.", "x, y = min(max(x, 0), {m}), min(max(y, 0), {m})", lambda n, k: sorted((0, n, k - 1))[1]))
}
_RULES = {
    "none": Option(0, "", "", lambda i, moves: False),
    "no_repeat": Option(
        2,
        "A letter equal to the one before it is ignored.",
        "i and moves[i - 1] == move",
        lambda i, moves: i > 0 and moves[i] == moves[i - 1],
    ),
    "odd_only": Option(2, "Letters at odd indices are ignored.", "i % 2 == 1", lambda i, moves: bool(i & 1)),
    "third": Option(
        2, "Letters at indices divisible by 3 are ignored.", "i % 3 == 0", lambda i, moves: i // 3 * 3 == i
    ),
}
_RESULTS = {
    "x": Option(0, "the final x", "x", lambda path: path[-1][0]),
    "y": Option(0, "the final y", "y", lambda path: path[-1][1]),
    "sum": Option(0, "the final x + y", "x + y", lambda path: sum(path[-1])),
    "distance": Option(1, "|x| + |y| at the end", "abs(x) + abs(y)", lambda path: sum(map(abs, path[-1]))),
    "product": Option(0, "x * y at the end", "x * y", lambda path: path[-1][0] * path[-1][1]),
    "visited": Option(4, "the number of different points visited, the start included", "len(seen)", lambda path: len(dict.fromkeys(path))),
    "farthest": Option(4, "the greatest |x| + |y| of the points visited, the start included", "max(abs(a) + abs(b) for a, b in seen)", lambda path: max(abs(a) + abs(b) for a, b in path)),
    "home": Option(3, "how often a letter leaves the walker at (0, 0); an ignored letter does not count", "home", lambda path: path[1:].count((0, 0))),
}


def describe(v: Variant) -> str:
    moves = v["compass"].words.format(k=v["stride"].code)
    return sentence(f"A walker starts at x = 0, y = 0 and reads the letters of moves: {moves}.", v["edge"].words, v["rule"].words,
                    f"Return {v['result'].words}.", v["finish"].words)


def _steps(v: Variant) -> dict[str, tuple[int, int]]:
    kind = next(name for name, option in _COMPASS.items() if option is v["compass"])
    return _MOVES[kind](v["stride"].run)


def program(v: Variant) -> str:
    result = v["result"].code
    lines = [f"steps = {_steps(v)!r}", "x = y = 0"]
    lines += ["seen = {(0, 0)}"] if "seen" in result else ["home = 0"] if result == "home" else []
    lines.append("for i, move in enumerate(moves):" if v["rule"].code else "for move in moves:")
    lines += [f"    if {v['rule'].code}:", "        continue"] if v["rule"].code else []
    lines += [
        "    x, y = x + steps[move][0], y + steps[move][1]",
        *([f"    {v['edge'].code}"] if v["edge"].code else []),
    ]
    lines += (
        ["    seen.add((x, y))"]
        if "seen" in result
        else ["    if x == 0 and y == 0:", "        home += 1"]
        if result == "home"
        else []
    )
    return function(FAMILY.signature, *lines, f"return {finished(v['finish'], result)}")


def solve(v: Variant, moves: str) -> int:
    steps, path = _steps(v), [(0, 0)]
    for i, move in enumerate(moves):
        if not v["rule"].run(i, moves):
            (a, b), (p, q) = path[-1], steps[move]
            path.append((v["edge"].run(a + p), v["edge"].run(b + q)))
    return v["finish"].run(v["result"].run(path))


def sample(_v: Variant, rng: random.Random, stratum: str, size: int) -> list[str]:
    """Letters R, L, U and D; some walks go there and back."""
    length = {"empty": 0, "single": 1, "small": rng.randint(3, 6), "long": 6 * size}.get(
        stratum, rng.randint(3, 3 * size)
    )
    letters = "RLUD" if stratum not in ("negative", "big") else rng.choice(("LLDU", "RRUD", "LDRU", "UURL"))
    moves = [rng.choice(letters) for _ in range(length)]
    if stratum in ("zero", "repeated"):
        moves += [{"R": "L", "L": "R", "U": "D", "D": "U"}[move] for move in reversed(moves)]
    return ["".join(moves)]


FAMILY = Family(
    name="grid_walk", title="Walks on a grid", entry_point="walk", parameters="moves: str", returns="int",
    axes={"compass": _COMPASS, "stride": _STRIDES, "edge": _EDGES, "rule": _RULES, "result": _RESULTS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=inputs.one_language,
)
