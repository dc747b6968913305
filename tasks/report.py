"""The experiment's artifacts to one HTML page."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from axiom.experiment.running import Runtime
from axiom.progress import doing
from axiom.report.page import write


@task(name="report", task_run_name="{run.config.name} · report", cache_policy=NO_CACHE, persist_result=False)
def write_report(run: Runtime, *, iteration: int) -> str:
    """`report.html` beside the experiment's other files; returns its path."""
    doing("writing the report")
    return write(run.experiment)
