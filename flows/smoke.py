"""A whole small experiment under a name of its own each day: does the loop still run, and does the learner learn?"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prefect import flow

from axiom.config import ExperimentConfig, override
from axiom.credentials import Plain
from axiom.errors import RegressionError
from axiom.evaluation import pooled_greedy
from axiom.experiment import DEFAULT_ROOT, Experiment
from axiom.flows.experiment import experiment
from axiom.records import Metric


@flow(name="smoke", flow_run_name="smoke of {config.name}", persist_result=False)
def smoke(config: ExperimentConfig, root: Plain = DEFAULT_ROOT, least_gain: float = 0.2) -> dict[str, Any]:
    """Run `config` as `<name>-<date>`. Fails when validation accuracy rose by less than `least_gain`.

    Args:
        config: A small experiment that is known to learn.
        root: Folder or fsspec URL that holds the experiments.
        least_gain: Rise of greedy validation accuracy from the first evaluation to the last.

    """
    named = override(config, name=f"{config.name}-{datetime.now(UTC):%Y-%m-%d}")
    result = experiment(named, root)
    metrics = Experiment.open(root, named.name).metrics()
    return {**result, "gain": gain(metrics, least_gain, result["report"])}


def gain(metrics: Sequence[Metric], least: float, report: str) -> float:
    """Rise of greedy validation accuracy from the first evaluation to the last.

    Raises RegressionError when it is below `least`.
    """
    pooled = {row.iteration: row.value for row in pooled_greedy(metrics, "val")}
    first, last = pooled[min(pooled)], pooled[max(pooled)]
    if last - first < least:
        raise RegressionError(
            f"validation accuracy went from {first:.2f} to {last:.2f}, a rise below {least}: the loop runs but no "
            f"longer learns; compare {report} with an earlier night's"
        )
    return last - first
