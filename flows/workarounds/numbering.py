"""Subflows of a retried run that are counted from a number of the attempt's own."""

import secrets
from typing import Any

from prefect import Flow, Task
from prefect.context import FlowRunContext


def number_anew(subflow: Flow[..., Any]) -> None:
    """Count this attempt's runs of `subflow` from a number of its own.

    Prefect finds the subflows of a retried run by their position and gives back those that completed instead of running
    them; but a retry or a resumed run skips finished iterations, so that its first subflow may be any of them.
    """
    context = FlowRunContext.get()
    assert context is not None, "iterations run inside a flow"
    # Not the run's count of attempts, which stays the same when a suspended run is resumed.
    context.task_run_dynamic_keys.setdefault(Task(subflow.fn).task_key, secrets.randbits(48))
