"""Which of a problem's distinct programs are kept, and which problems come first where a round may keep only so many.

Pure: the result depends on the programs, the settings and what is `Known`, not on the order in which samples fell.
"""

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from axiom.config import SelectionConfig
from axiom.records import Sample
from axiom.seeds import derive

Behaviour = Callable[[Sequence[Sample]], Mapping[str, Sequence[str]]]
"""Samples to what each, by its id, returns for the calls of its problem's probe set."""
Programs = Mapping[str, Sequence[Sample]]
"""Distinct programs by problem, the shortest first."""


def unknown_behaviour(samples: Sequence[Sample]) -> Mapping[str, Sequence[str]]:
    """For programs that cannot be run: nothing is known of what they return."""
    return {}


@dataclass(frozen=True)
class Known:
    """What a strategy goes by beside the programs: a seed for lots, solve rates by problem, and how programs behave."""

    seed: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    behaviour: Behaviour = unknown_behaviour


def chosen(programs: Programs, config: SelectionConfig, known: Known) -> dict[str, list[Sample]]:
    """At most `max_per_problem` programs of each problem, the preferred first."""
    most = config.max_per_problem
    if config.strategy == "uniform":
        return {
            key: sorted(found, key=lambda s: derive(known.seed, s.sample_id))[:most] for key, found in programs.items()
        }
    if config.strategy != "diverse":
        return {key: list(found[:most]) for key, found in programs.items()}
    contested = [sample for found in programs.values() if len(found) > most for sample in found]
    behaviour = known.behaviour(contested) if contested else {}
    return {
        key: spread_out(found, most, behaviour) if len(found) > most else list(found) for key, found in programs.items()
    }


def spread_out(programs: Sequence[Sample], count: int, behaviour: Mapping[str, Sequence[str]]) -> list[Sample]:
    """`count` programs, each the one farthest from those before it; the first is the shortest.

    Greedy max-min (Gonzalez 1985): the distance to the nearest of those before, in behaviour and then in syntax; of
    equally far ones the shortest.
    """
    trees = {sample.sample_id: edges(sample.code) for sample in programs}
    left, kept = list(programs[1:]), list(programs[:1])
    nearest = {sample.sample_id: (1.0, 1.0) for sample in left}
    while left and len(kept) < count:
        last = kept[-1]
        for sample in left:
            key, before = sample.sample_id, nearest[sample.sample_id]
            differing = apart(behaviour.get(key, ()), behaviour.get(last.sample_id, ()))
            nearest[key] = min(before[0], differing), min(before[1], tree_distance(trees[key], trees[last.sample_id]))
        farthest = max(left, key=lambda sample: nearest[sample.sample_id])  # the first of equals, so the shortest
        left.remove(farthest)
        kept.append(farthest)
    return kept


def apart(left: Sequence[str], right: Sequence[str]) -> float:
    """Share of the calls on which two programs differ; 0 where nothing is known of one."""
    if not left or not right:
        return 0.0
    return sum(one != other for one, other in zip(left, right, strict=True)) / len(left)


def edges(code: str) -> Counter[str]:
    """Pairs of a node and its child in the syntax tree, without names; of what does not parse, the text itself."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # an answer, or code nested past the parser's limit
        return Counter([code])
    return Counter(
        f"{type(node).__name__}>{type(child).__name__}{child.value!r}"
        if isinstance(child, ast.Constant)
        else f"{type(node).__name__}>{type(child).__name__}"
        for node in ast.walk(tree)
        for child in ast.iter_child_nodes(node)
    )


def tree_distance(left: Counter[str], right: Counter[str]) -> float:
    """1 less the Jaccard index of two multisets: 0 for equal trees, 1 for trees that share no edge."""
    union = (left | right).total()
    return 1.0 - (left & right).total() / union if union else 0.0


def limited(choices: Mapping[str, Sequence[Sample]], config: SelectionConfig, known: Known) -> dict[str, list[Sample]]:
    """The choices of each problem as far as `max_rows` reaches; problems without any are left out.

    `hardest` takes all of the problem that is solved least often, then of the next. The other strategies take the first
    choice of every problem, in random order, then the second, so that no problem has two before another has one.
    """
    if not config.max_rows:
        return {key: list(found) for key, found in choices.items()}
    lots = {key: derive(known.seed, "order", key) for key in choices}
    if config.strategy == "hardest":
        order = sorted(choices, key=lambda key: (known.rates.get(key, 0.5), lots[key]))
        turns = [(key, place) for key in order for place in range(len(choices[key]))]
    else:
        order = sorted(choices, key=lots.__getitem__)
        turns = sorted(((key, place) for key in order for place in range(len(choices[key]))), key=lambda turn: turn[1])
    counts = Counter(key for key, _ in turns[: config.max_rows])
    return {key: list(found[: counts[key]]) for key, found in choices.items() if counts[key]}
