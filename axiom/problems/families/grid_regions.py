"""Regions of a map: which cells count, which touch, which regions are asked about."""

import ast
import functools
import random

from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import FINISH, finished, sentence

_CELLS = {
    "hash": Option(3, "'#'", "grid[r][c] == '#'", lambda c: c == "#"),
    "dot": Option(3, "'.'", "grid[r][c] == '.'", lambda c: c == "."),
    "star": Option(3, "'*'", "grid[r][c] == '*'", lambda c: c == "*"),
    "not_hash": Option(3, "any character but '#'", "grid[r][c] != '#'", lambda c: c in ".*"),
    "not_dot": Option(3, "any character but '.'", "grid[r][c] != '.'", lambda c: c in "#*"),
}
_NEAR = {
    "4": Option(0, "directly above, below, left or right", "((0, 1), (0, -1), (1, 0), (-1, 0))", lambda a, b: abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1),
    "rows": Option(0, "directly left or right", "((0, 1), (0, -1))", lambda a, b: a[0] == b[0] and abs(a[1] - b[1]) == 1),
    "columns": Option(0, "directly above or below", "((1, 0), (-1, 0))", lambda a, b: a[1] == b[1] and abs(a[0] - b[0]) == 1),
    "corners": Option(1, "diagonally", "((1, 1), (1, -1), (-1, 1), (-1, -1))", lambda a, b: abs(a[0] - b[0]) == abs(a[1] - b[1]) == 1),
    "8": Option(1, "above, below, left, right or diagonally", "((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))",
                lambda a, b: max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1),
    "knight": Option(1, "a chess knight's move away", "((1, 2), (1, -2), (-1, 2), (-1, -2), (2, 1), (2, -1), (-2, 1), (-2, -1))",
                     lambda a, b: {abs(a[0] - b[0]), abs(a[1] - b[1])} == {1, 2}),
}
_KEPT = {
    "all": Option(0, "", "", lambda cells, h, w: True),
    **{f"large_{k}": Option(1, f"Regions of fewer than {k} cells are ignored.", f"len(region) >= {k}", lambda cells, h, w, k=k: len(cells) > k - 1) for k in (2, 3)},
    "inner": Option(3, "Regions with a cell in the first or last row or column are ignored.",
                    "all(0 < r < len(grid) - 1 and 0 < c < len(grid[0]) - 1 for r, c in region)",
                    lambda cells, h, w: not any(r in (0, h - 1) or c in (0, w - 1) for r, c in cells)),
    "top": Option(2, "Regions without a cell in the first row are ignored.", "any(r == 0 for r, _ in region)", lambda cells, h, w: min(cells)[0] == 0),
}
_RESULTS = {
    "count": Option(0, "how many regions there are", "len(regions)", len),
    "largest": Option(1, "the number of cells of the largest region, or 0 if there is none", "max((len(g) for g in regions), default=0)", lambda gs: max([0, *map(len, gs)])),
    "smallest": Option(1, "the number of cells of the smallest region, or 0 if there is none", "min((len(g) for g in regions), default=0)", lambda gs: sorted(map(len, gs))[0] if gs else 0),
    "cells": Option(1, "the number of cells of all regions together", "sum(len(g) for g in regions)", lambda gs: len({c for g in gs for c in g})),
    "squares": Option(1, "the sum of the squares of the regions' numbers of cells", "sum(len(g) ** 2 for g in regions)", lambda gs: sum(len(g) * len(g) for g in gs)),
    "rows": Option(2, "the greatest number of rows that one region has cells in, or 0 if there is none", "max((len({r for r, _ in g}) for g in regions), default=0)",
                   lambda gs: max([0, *(len({c[0] for c in g}) for g in gs)])),
}


def describe(v: Variant) -> str:
    opening = f"grid is a list of strings of equal length, of the characters '#', '.' and '*'. A cell counts if it holds {v['cells'].words}; two cells that count are neighbours if one is {v['near'].words} of the other."
    if "knight" in v["near"].words:
        opening = opening.replace("away of the other", "away from the other")
    opening = opening.replace("diagonally of", "diagonally next to")
    return sentence(
        opening,
        "Cells that count and are linked through neighbours form a region.",
        v["kept"].words,
        f"Return {v['result'].words}.",
        v["finish"].words,
    )


def program(v: Variant) -> str:
    keep = ["        regions.append(region)"]
    if v["kept"].code:
        keep = [f"        if {v['kept'].code}:", "            regions.append(region)"]
    return function(
        FAMILY.signature, f"todo = {{(r, c) for r in range(len(grid)) for c in range(len(grid[0])) if {v['cells'].code}}}", "regions = []",
        "while todo:", "    region, queue = set(), [todo.pop()]", "    while queue:", "        r, c = queue.pop()", "        region.add((r, c))",
        f"        for dr, dc in {v['near'].code}:", "            if (r + dr, c + dc) in todo:", "                todo.remove((r + dr, c + dc))",
        "                queue.append((r + dr, c + dc))", *(line[4:] for line in keep), f"return {finished(v['finish'], v['result'].code)}",
    )


def solve(v: Variant, grid: list[str]) -> int:
    label = {(r, c): (r, c) for r, row in enumerate(grid) for c, mark in enumerate(row) if v["cells"].run(mark)}
    changed = True
    while changed:
        before = dict(label)
        for cell in label:
            label[cell] = min(label[other] for other in label if other == cell or v["near"].run(cell, other))
        changed = label != before
    groups = [[cell for cell in label if label[cell] == name] for name in sorted({*label.values()})]
    return v["finish"].run(v["result"].run([g for g in groups if v["kept"].run(g, len(grid), len(grid[0]))]))


def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[list[str]]:
    """A map of up to seven by seven cells, now and then with thin trails along which every step counts."""
    if stratum == "empty":
        return [["".join(rng.choice(".#*") for _ in range(rng.randint(1, 2)))]]
    if stratum in ("big", "zero", "long") or (stratum == "typical" and rng.random() < 0.5):
        return [_trails(v, rng, min(7, 3 + size // 3))]
    height, width = {"single": (1, rng.randint(1, 6)), "small": (2, 3)}.get(
        stratum, (rng.randint(2, 5), rng.randint(2, 4 + size // 6))
    )
    weights = {"repeated": (8, 1, 1), "negative": (1, 8, 1)}.get(stratum, (4, 4, 2))
    rows = ["".join(rng.choices(".#*", weights, k=width)) for _ in range(height)]
    return [[rng.choice(rows[:2]) for _ in rows] if stratum == "repeated" else rows]


def _trails(v: Variant, rng: random.Random, most: int) -> list[str]:
    """Cells that count, each a neighbour of another, on a map that is else bare."""
    counts = [mark for mark in ".#*" if v["cells"].run(mark)]
    bare = [mark for mark in ".#*" if mark not in counts]
    moves, height, width = _moves(v["near"].code), rng.randint(3, most), rng.randint(3, most)
    rows = [[rng.choice(bare) for _ in range(width)] for _ in range(height)]
    for place in range(rng.randint(1, 5)):
        trail = [(rng.randrange(height), rng.randrange(width))]
        for _ in range(rng.randint(0, 2 if place else 6)):
            (r, c), (dr, dc) = rng.choice(trail), rng.choice(moves)
            trail.append((min(max(r + dr, 0), height - 1), min(max(c + dc, 0), width - 1)))
        for r, c in trail:
            rows[r][c] = rng.choice(counts)
    return ["".join(row) for row in rows]


@functools.cache
def _moves(code: str) -> tuple[tuple[int, int], ...]:
    moves: tuple[tuple[int, int], ...] = ast.literal_eval(code)
    return moves


FAMILY = Family(
    name="grid_regions", title="Regions of a map", entry_point="regions_of", parameters="grid: list[str]", returns="int",
    axes={"cells": _CELLS, "near": _NEAR, "kept": _KEPT, "result": _RESULTS, "finish": FINISH},
    describe=describe, program=program, solve=solve, sample=sample, language=lambda v: (v["cells"].code, v["near"].code),
)
