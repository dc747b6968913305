"""A foothold where the base model solves nothing: more than whole solutions teaches, less and less of it.

References: solutions of a few problems of each family join the gold of its first round. Partial credit: a program that
passes a share of the hidden cases is gold, a share that rises to all (DELTA, arXiv:2509.21016).
Hindsight: a wrong program that solves another variant of its family is gold for that (Andrychowicz et al. 2017,
arXiv:1707.01495), found by running it. Hints: the prompt begins the solution, and what is found trains without it
(Zelikman et al. 2022, STaR, arXiv:2203.14465).

All of it is of training problems alone: no program is run on a case of another split, and no other prompt has a hint.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from axiom.config import ExperimentConfig, FootholdConfig
from axiom.errors import ConfigError
from axiom.records import Gold, Outcome, Problem, Sample
from axiom.seeds import derive, stream
from axiom.selection.arm import Harvest
from axiom.selection.curriculum import out_of_pace
from axiom.selection.gold import accepted, fingerprint, identity, to_gold
from axiom.selection.strategies import limited

PARTIAL = "partial"
"""How the reason of a row begins that solves only a part of the cases."""


def on(config: FootholdConfig) -> bool:
    """Whether anything of it is asked for."""
    return config != FootholdConfig()


def added(harvest: Harvest, fresh: Sequence[Gold]) -> list[Gold]:
    """The rows that join `fresh`, the verified gold of the round.

    Hindsight takes what `max_per_problem` and `max_rows` leave, then partial credit; references come on top.
    """
    config = harvest.config.foothold
    hindsight = _hindsight(harvest, config, fresh)
    return [*_references(harvest, config), *_partial(harvest, config, [*fresh, *hindsight]), *hindsight]


def _references(harvest: Harvest, config: FootholdConfig) -> list[Gold]:
    """Those of the families whose training begins in the round."""
    if not config.references:
        return []
    joins = harvest.config.curriculum.joins
    families: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in _training(harvest):
        if joins.get(problem.family, 1) == harvest.iteration:
            families[problem.family].append(problem)
    rows = []
    for family, problems in sorted(families.items()):
        stream(harvest.config.seed, "foothold", "references", family).shuffle(problems)
        rows += [_reference(problem, harvest.iteration) for problem in problems[: config.references]]
    return rows


def _reference(problem: Problem, iteration: int) -> Gold:
    return Gold(
        sample_id=f"reference:{problem.problem_id}",
        problem_id=problem.problem_id,
        iteration=iteration,
        weight=1.0,
        reason="reference",
        target=problem.reference_solution,
    )


def least_share(config: FootholdConfig, iteration: int) -> float:
    """Share of the hidden cases that a program must pass in a round: `partial` in the first, all from the last on."""
    if iteration >= config.partial_until:
        return 1.0
    return config.partial + (1.0 - config.partial) * (iteration - 1) / (config.partial_until - 1)


def _partial(harvest: Harvest, config: FootholdConfig, taken: Sequence[Gold]) -> list[Gold]:
    """Of problems that no program solved in the round those that come nearest, the shortest first."""
    least = least_share(config, harvest.iteration)
    if least >= 1.0:
        return []
    solved = {sample.problem_id for sample in accepted(harvest.samples, harvest.verdicts)}
    shares = {
        verdict.sample_id: verdict.cases_passed / verdict.cases_total
        for verdict in harvest.verdicts
        if verdict.outcome is Outcome.WRONG_ANSWER and verdict.cases_passed
    }
    near = [
        sample
        for sample in harvest.samples
        if sample.problem_id not in solved and shares.get(sample.sample_id, 0.0) >= least - 1e-9
    ]
    order = sorted(near, key=lambda one: (-shares[one.sample_id], len(one.code), one.code, one.sample_id))
    kept = _fitting(order, taken, harvest)
    return [to_gold(sample, f"{PARTIAL} {shares[sample.sample_id]:.2f}") for sample in kept]


def _fitting(samples: Iterable[Sample], taken: Sequence[Gold], harvest: Harvest) -> list[Sample]:
    """The first different programs of each problem, as many as the limits leave room for beside the rows `taken`."""
    config, programs = harvest.config.selection, defaultdict[str, set[str]](set)
    for row in taken:
        programs[row.problem_id].add(fingerprint(row.target))
    kept: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        there, program = programs[sample.problem_id], identity(sample)
        if len(there) < config.max_per_problem and program not in there:
            there.add(program)
            kept[sample.problem_id].append(sample)
    room = config.max_rows - len(taken)
    if config.max_rows and room <= 0:
        return []
    rest = config.model_copy(update={"max_rows": room if config.max_rows else 0})
    return [sample for found in limited(kept, rest, harvest.known).values() for sample in found]


def _hindsight(harvest: Harvest, config: FootholdConfig, taken: Sequence[Gold]) -> list[Gold]:
    if not config.hindsight:
        return []
    tried = list(_tries(harvest, config.hindsight))
    right = accepted(tried, harvest.judge(tried))
    order = sorted(right, key=lambda one: (len(one.code), one.code, one.sample_id))
    kept = _fitting(order, taken, harvest)
    return [to_gold(sample, "hindsight").model_copy(update={"completion": ""}) for sample in kept]


def _tries(harvest: Harvest, most: int) -> Iterable[Sample]:
    """Each different wrong program as a sample of `most` other training problems of its family, unsolved ones first.

    Problems that the self-paced curriculum bars are none of these.
    """
    barred = out_of_pace(harvest.config.curriculum, () if harvest.quota else harvest.history)
    solved = {sample.problem_id for sample in accepted(harvest.samples, harvest.verdicts)}
    wrong = {v.sample_id for v in harvest.verdicts if v.outcome is Outcome.WRONG_ANSWER}
    families: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for problem in _training(harvest):
        if problem.problem_id not in barred:
            families[problem.family, problem.signature].append(problem.problem_id)
    for place, ids in families.items():
        stream(harvest.config.seed, "foothold", "hindsight", harvest.iteration, *place).shuffle(ids)
        ids.sort(key=solved.__contains__)
    seen = set()
    for sample in (sample for sample in harvest.samples if sample.sample_id in wrong):
        problem = harvest.problems[sample.problem_id]
        program = problem.family, identity(sample)
        if problem.kind != "program" or program in seen:
            continue
        seen.add(program)
        others = [other for other in families[problem.family, problem.signature] if other != sample.problem_id]
        for other in others[:most]:
            yield sample.model_copy(update={"problem_id": other, "sample_id": f"{sample.sample_id}:as:{other}"})


def _training(harvest: Harvest) -> list[Problem]:
    return [
        problem
        for problem in harvest.problems.values()
        if problem.split == "train" and (harvest.active is None or problem.problem_id in harvest.active)
    ]


def hinted_share(config: FootholdConfig, iteration: int) -> float:
    """Share of the training problems whose prompt has a hint in a round: falls from `hints` to none."""
    if iteration >= config.hints_until:
        return 0.0
    return config.hints * (1.0 - (iteration - 1) / (config.hints_until - 1))


def with_hints(problems: Sequence[Problem], config: ExperimentConfig, iteration: int) -> list[Problem]:
    """The problems, some of whose descriptions begin the solution; a problem that has lost its hint keeps none.

    Problems are ordered by lot once a run, and a round gives hints to its share of them from the front.
    """
    order = sorted(problems, key=lambda one: derive(config.seed, "foothold", "hints", one.problem_id))
    chosen = {one.problem_id for one in order[: round(hinted_share(config.foothold, iteration) * len(order))]}
    return [_hinted(problem) if problem.problem_id in chosen else problem for problem in problems]


def _hinted(problem: Problem) -> Problem:
    """With the first half of the reference solution in the description, cut between two words."""
    solution = problem.reference_solution
    half = solution[: len(solution) // 2]
    begin = half[: max(half.rfind(" "), half.rfind("\n"), 0)].rstrip()
    return problem.model_copy(update={"description": f"{problem.description}\n\nA solution begins so:\n\n{begin}"})


def check_foothold(config: ExperimentConfig) -> None:
    """Raise ConfigError with one sentence for a foothold that the learner or the arm has no use for."""
    foothold = config.foothold
    programs = {"partial": foothold.partial < 1.0, "hindsight": foothold.hindsight > 0, "hints": foothold.hints > 0}
    asked = next((name for name, wanted in programs.items() if wanted), None)
    if asked and config.model.kind == "modular":
        raise ConfigError(
            f"foothold.{asked} = {getattr(foothold, asked)} is about programs, and the modular network answers with "
            f"numbers; leave it out, or set foothold.references"
        )
    for name, wanted in programs.items():
        if wanted and getattr(foothold, f"{name}_until", 2) < 2:
            raise ConfigError(
                f"foothold.{name} = {getattr(foothold, name)} with foothold.{name}_until = 1 helps in no round; set a "
                f"larger foothold.{name}_until"
            )
    gold = {
        "references": foothold.references > 0,
        "partial": foothold.partial < 1.0,
        "hindsight": programs["hindsight"],
    }
    added_to = next((name for name, wanted in gold.items() if wanted), None)
    if added_to and config.arm in ("reinforce", "static_rft"):
        raise ConfigError(
            f"foothold.{added_to} = {getattr(foothold, added_to)} joins the gold of each round's draws, and arm "
            f"{config.arm!r} trains on nothing but its own; leave it out, or set arm = 'expert_iteration'"
        )
    if foothold.hints and config.arm == "reinforce":
        raise ConfigError(
            f"foothold.hints = {foothold.hints} changes the prompts that arm 'reinforce' follows the draws of; leave "
            f"it out"
        )
