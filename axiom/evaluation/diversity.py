"""How many different programs a round's accepted samples are, by their syntax and by what they return. Pure."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

from axiom.evaluation.accuracy import Counters, metric
from axiom.records import Diversity, Metric, Sample
from axiom.rows import by_problem
from axiom.seeds import derive
from axiom.selection.gold import identity

Programs = Mapping[str, Sequence[tuple[Sample, int]]]
"""By problem, a sample of each program and how many samples are this program."""


def programs(accepted: Sequence[Sample], answers: Iterable[str] = ()) -> dict[str, list[tuple[Sample, int]]]:
    """The accepted samples by problem and program; the problems `answers` have answers, which are told apart as texts.

    Two programs are one if their syntax trees agree without comments, docstrings and layout.
    """
    bare, found = set(answers), dict[str, list[tuple[Sample, int]]]()
    for problem_id, samples in by_problem(accepted):
        first: dict[str, Sample] = {}
        marks = [identity(sample, bare) for sample in samples]
        for mark, sample in zip(marks, samples, strict=True):
            first.setdefault(mark, sample)
        counts = Counter(marks)
        found[problem_id] = [(sample, counts[mark]) for mark, sample in first.items()]
    return found


def to_run(found: Programs, most: int, seed: int) -> list[Sample]:
    """A sample of each program of some problems, together at most `most`, so that their behaviours can be compared.

    Problems come in an order drawn from `seed`, the same in every round; one whose programs no longer fit is left out.
    """
    chosen: list[Sample] = []
    for problem_id in sorted(found, key=lambda key: derive(seed, "behaviours", key)):
        one_each = [sample for sample, _ in found[problem_id]]
        if len(chosen) + len(one_each) <= most:
            chosen += one_each
    return chosen


def diversity(found: Programs, behaviour: Mapping[str, Sequence[str]]) -> list[Diversity]:
    """A row for each problem; `behaviour` is what the samples of `to_run` return, by sample id."""
    return [_of(problem_id, each, behaviour) for problem_id, each in found.items()]


def _of(problem_id: str, each: Sequence[tuple[Sample, int]], behaviour: Mapping[str, Sequence[str]]) -> Diversity:
    known = [tuple(behaviour.get(sample.sample_id, ())) for sample, _ in each]
    sizes: Counter[Hashable] = Counter()
    for calls, (_, count) in zip(known, each, strict=True):
        sizes[calls] += count
    seen = all(known)  # of a problem without a probe set, or of a program that ended the sandbox, nothing is known
    return Diversity(
        problem_id=problem_id,
        samples=sizes.total(),
        programs=len(each),
        behaviours=len(sizes) if seen else None,
        program_entropy=entropy(count for _, count in each),
        behaviour_entropy=entropy(sizes.values()) if seen else None,
        characters=sum(len(sample.code) for sample, _ in each) / len(each),
    )


def entropy(sizes: Iterable[int]) -> float:
    """Of the shares of `sizes`, in nats: 0 where all are one."""
    counts = list(sizes)
    total = sum(counts)
    return math.fsum(-count / total * math.log(count / total) for count in counts if count < total)


def diversity_metrics(rows: Sequence[Diversity], iteration: int, counters: Counters) -> list[Metric]:
    """Means over the problems solved; those of behaviours over the problems whose programs were run, the metric's n."""
    if not rows:
        return []
    values: dict[str, list[float]] = {
        "accepted_samples": [row.samples for row in rows],
        "distinct_programs": [row.programs for row in rows],
        "distinct_behaviours": [row.behaviours for row in rows if row.behaviours is not None],
        "program_entropy": [row.program_entropy for row in rows],
        "behaviour_entropy": [row.behaviour_entropy for row in rows if row.behaviour_entropy is not None],
        "program_characters": [row.characters for row in rows],
    }
    return [
        metric(iteration, counters, name, math.fsum(found) / len(found), n=len(found))
        for name, found in values.items()
        if found
    ]
