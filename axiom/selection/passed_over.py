"""Accepted samples that do not train, and why. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from axiom.config import SelectionConfig
from axiom.records import Gold, PassedOver, Problem, Sample, Verdict
from axiom.rows import by_problem
from axiom.selection.gold import accepted, identity


def passed_over(
    samples: Sequence[Sample],
    verdicts: Sequence[Verdict],
    gold: Sequence[Gold],
    config: SelectionConfig,
    problems: Mapping[str, Problem],
    barred: Collection[str] = (),
    by_selection: bool = True,
) -> list[PassedOver]:
    """One row for each accepted sample of the round that is no gold.

    A `duplicate` is the same program as the row `same_as`, kept or not. Of the others, `max_per_problem` says that so
    many programs of the problem train already, `max_rows` that the round may have no more rows, `self_paced` that the
    curriculum does not train on its problem, one of `barred`, and `arm` that the experiment's arm did not take it. This
    is all there is to say of an arm that does not go `by_selection`.
    """
    over = each_passed_over(samples, verdicts, gold, config, problems, barred, by_selection)
    rows = {row.sample_id: row for row in over}
    return [rows[sample.sample_id] for sample in samples if sample.sample_id in rows]


def each_passed_over(
    samples: Sequence[Sample],
    verdicts: Iterable[Verdict],
    gold: Sequence[Gold],
    config: SelectionConfig,
    problems: Mapping[str, Problem],
    barred: Collection[str] = (),
    by_selection: bool = True,
) -> Iterator[PassedOver]:
    """The same, problem after problem."""
    bare = {key for key, problem in problems.items() if problem.kind == "answer"}
    fresh = {row.sample_id for row in gold if row.reason != "replayed"}
    full = 0 < config.max_rows <= len(fresh)
    for problem_id, found in by_problem(accepted(samples, verdicts)):
        first: dict[str, str] = {}
        kept, rows = 0, {}
        for sample in sorted(found, key=lambda s: (s.sample_id not in fresh, len(s.code), s.code, s.sample_id)):
            same = first.setdefault(identity(sample, bare), sample.sample_id)
            if sample.sample_id in fresh:
                kept += 1
                continue
            reasons = {
                "duplicate": same != sample.sample_id,
                "self_paced": problem_id in barred,
                "max_per_problem": kept >= config.max_per_problem,
                "max_rows": full,
                "arm": True,
            }
            why = next(reason for reason, holds in reasons.items() if holds) if by_selection else "arm"
            rows[sample.sample_id] = PassedOver(
                sample_id=sample.sample_id,
                problem_id=problem_id,
                why=why,
                same_as=same if why == "duplicate" else None,
            )
        yield from (rows[sample.sample_id] for sample in found if sample.sample_id in rows)
