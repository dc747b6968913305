"""Accepted samples that do not train, and why. Pure."""

from collections.abc import Collection, Mapping, Sequence

from axiom.config import SelectionConfig
from axiom.records import Gold, PassedOver, Problem, Sample, Verdict
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
    bare = {key for key, problem in problems.items() if problem.kind == "answer"}
    fresh = {row.sample_id: row for row in gold if row.reason != "replayed"}
    found = sorted(
        accepted(samples, verdicts), key=lambda s: (s.sample_id not in fresh, len(s.code), s.code, s.sample_id)
    )
    first: dict[tuple[str, str], str] = {}
    kept: dict[str, int] = {}
    rows = {}
    for sample in found:
        same = first.setdefault((sample.problem_id, identity(sample, bare)), sample.sample_id)
        if sample.sample_id in fresh:
            kept[sample.problem_id] = kept.get(sample.problem_id, 0) + 1
            continue
        reasons = {
            "duplicate": same != sample.sample_id,
            "self_paced": sample.problem_id in barred,
            "max_per_problem": kept.get(sample.problem_id, 0) >= config.max_per_problem,
            "max_rows": 0 < config.max_rows <= len(fresh),
            "arm": True,
        }
        why = next(reason for reason, holds in reasons.items() if holds) if by_selection else "arm"
        rows[sample.sample_id] = PassedOver(
            sample_id=sample.sample_id,
            problem_id=sample.problem_id,
            why=why,
            same_as=same if why == "duplicate" else None,
        )
    return [rows[sample.sample_id] for sample in samples if sample.sample_id in rows]
