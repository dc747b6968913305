"""Run-length encoding: order, single characters, separators, longest run, what a run is."""

import itertools
import random

from axiom.problems.cases import inputs
from axiom.problems.family import Family, function
from axiom.problems.space import Option, Variant
from axiom.problems.vocabulary import VIEWS, sentence

_ORDERS = {
    "char_count": Option(0, "the character followed by its count", "c + str(n)", lambda c, n: f"{c}{n}"),
    "count_char": Option(0, "the count followed by the character", "str(n) + c", lambda c, n: f"{n}{c}"),
    "char_x_count": Option(0, "the character, 'x' and its count", "c + 'x' + str(n)", lambda c, n: f"{c}x{n}"),
    "bracketed": Option(0, "the character and its count in round brackets", "c + '(' + str(n) + ')'", lambda c, n: f"{c}({n})"),
    "count_only": Option(0, "its count alone", "str(n)", lambda c, n: f"{n}"),
    "repeat_less_one": Option(1, "the character followed by one less than its count", "c + str(n - 1)", lambda c, n: f"{c}{n - 1}"),
}
_SHORT = {
    "always": Option(0, "", "", 0),
    "single": Option(1, "A run of 1 is written as the bare character.", "n == 1", 1),
    "double": Option(1, "A run of 1 or 2 is written as its bare characters, without a count.", "n <= 2", 2),
    "triple": Option(1, "A run of up to 3 is written as its bare characters, without a count.", "n <= 3", 3),
}
_SEPARATORS = {
    "none": Option(0, "", "''", ""),
    "dash": Option(0, "Put '-' between the runs.", "'-'", "-"),
    "comma": Option(0, "Put ',' between the runs.", "','", ","),
    "bar": Option(0, "Put '|' between the runs.", "'|'", "|"),
}
_LIMITS = {"none": Option(0, "", "", 10**9)} | {
    str(k): Option(2, f"A run longer than {k} is cut: {k} characters make a run, then the next run begins.", str(k), k)
    for k in (2, 3, 4, 5, 9)
}
_SIDES = {
    "forward": Option(0, "", "", False),
    "backward": Option(1, "The runs are written in reverse order, the last run of s first.", "parts[::-1]", True),
}
_KEPT = {
    "all": Option(0, "", "", lambda n: True),
    **{f"atleast_{k}": Option(1, f"Runs shorter than {k} are left out altogether.", f"n >= {k}", lambda n, k=k: n > k - 1)
       for k in (2, 3)},
    "odd": Option(1, "Runs of even length are left out altogether.", "n % 2 == 1", lambda n: bool(n & 1)),
}


def describe(v: Variant) -> str:
    view = v["view"].words and f"Of the string s: {v['view'].words}"
    opening = f"Return the run-length encoding of {'what is left' if view else 'the string s'}: for each run of equal neighbouring characters, {v['order'].words}."
    return sentence(
        view, opening, v["limit"].words, v["short"].words, v["kept"].words, v["separator"].words, v["side"].words
    )


def program(v: Variant) -> str:
    view = f"s = {v['view'].code.format('s')}" if v["view"].words else ""
    cut = f" and n < {v['limit'].code}" if v["limit"].words else ""
    made = v["order"].code
    if v["short"].words:
        made = f"c * n if {v['short'].code} else {made}"
    add = [f"parts.append({made})"]
    if v["kept"].words:
        add = [f"if {v['kept'].code}:", f"    parts.append({made})"]
    return function(
        FAMILY.signature, view, "parts = []", "i = 0", "while i < len(s):", "    c, n = s[i], 1",
        f"    while i + n < len(s) and s[i + n] == c{cut}:", "        n += 1", *(f"    {line}" for line in add),
        "    i += n", f"return {v['separator'].code}.join({v['side'].code or 'parts'})",
    )


def solve(v: Variant, s: str) -> str:
    runs = []
    for c, group in itertools.groupby(v["view"].run(s)):
        n = len(list(group))
        while n > 0:
            runs.append((c, min(n, v["limit"].run)))
            n -= v["limit"].run
    kept = [(c, n) for c, n in runs if v["kept"].run(n)]
    parts = [c * n if n <= v["short"].run else v["order"].run(c, n) for c, n in kept]
    return v["separator"].run.join(reversed(parts) if v["side"].run else parts)


def _text(rng: random.Random, stratum: str, size: int) -> str:
    letters = inputs.text(rng, stratum, size, "aabbcAe1 ")
    return "".join(c * rng.choice((1, 1, 2, 3, 4, 7)) for c in letters[: 2 * size])


FAMILY = Family(
    name="run_length", title="Run-length encoding", entry_point="encode_runs", parameters="s: str", returns="str",
    axes={"order": _ORDERS, "short": _SHORT, "separator": _SEPARATORS, "limit": _LIMITS, "side": _SIDES, "kept": _KEPT, "view": VIEWS},
    describe=describe, program=program, solve=solve, sample=inputs.of(_text), accepts_any=True,
)
