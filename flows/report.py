"""Rewrite an experiment's report from what its store holds now."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from axiom.credentials import Plain
from axiom.experiment import DEFAULT_ROOT, Experiment
from axiom.flows.pages import as_link, slug
from axiom.report import page as pages


@flow(name="report", flow_run_name="report of {name}", persist_result=False)
def report(name: Plain, root: Plain = DEFAULT_ROOT) -> str:
    """Write `report.html` of the experiment `name`, finished or running, and return its path.

    Args:
        name: Name of the experiment, which is its folder's.
        root: Folder or fsspec URL that holds the experiments.

    """
    path = pages.write(Experiment.open(root, name))
    create_markdown_artifact(f"Report: [{path}]({as_link(path)})", key=f"{slug(name)}-report", description=name)
    return path
