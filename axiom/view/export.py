"""The sample browser as a folder of files that opens without a server, from a disk or from any static host."""

from collections.abc import Mapping
from pathlib import Path

from axiom.report.render import asset, render
from axiom.view.samples import Run, as_script
from axiom.view.server import FILES


def export(runs: Mapping[str, Run], folder: Path) -> None:
    """Write the page, its scripts, and a script of data for each run and each of its tables, into an empty folder.

    Runs are numbered, so a name is never part of a path.
    """
    (folder / "index.html").write_text(render("browser.html", source="stored.js"), encoding="utf-8")
    for name in (*FILES, "stored.js"):
        if name != "live.js":
            (folder / name).write_text(asset(name), encoding="utf-8")
    data = folder / "data"
    data.mkdir()
    (data / "runs.js").write_text(as_script("runs", list(runs)), encoding="utf-8")
    for place, run in enumerate(runs.values()):
        below = data / str(place)
        below.mkdir()
        problems = [run.problem(number) for number in range(len(run.problems))]
        for name, value in (("head", run.head() | {"running": False}), ("index", run.index()), ("problems", problems)):
            (below / f"{name}.js").write_text(as_script(f"{place}/{name}", value), encoding="utf-8")
        for number, purpose in run.parts():
            name = f"{number}-{purpose}"
            rows = list(run.texts(number, purpose))
            (below / f"{name}.js").write_text(as_script(f"{place}/{name}", rows), encoding="utf-8")
