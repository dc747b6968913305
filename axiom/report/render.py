"""Templates to pages and charts to pictures, without a network.

Whatever a template shows is escaped, unless the template itself says that it is safe.
"""

import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from axiom.content import write_whole
from axiom.environment import cache_dir, check_addresses
from axiom.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **shown: Any) -> str:
    """A template of `axiom/report/templates` as text. A name that it uses and is not given raises."""
    return _environment().get_template(template).render(shown | {"style": asset("page.css")})


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("axiom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_function"] = as_json
    return made


def as_json(value: Any, **options: Any) -> str:
    """`value` as JSON that a browser reads: what is not finite is null, as the loss of a run that diverged."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def script() -> str:
    """Vega, Vega-Lite and vegaEmbed as one script, so that a page needs no network.

    To put it together takes two seconds, so it is kept in the cache (`scripts` in axiom's cache folder).
    """
    kept = cache_dir() / "scripts" / f"vega-{version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        pass
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    write_whole(kept, bundle)
    return bundle


def svg(chart: Any, ink: str | None = None) -> str:
    """An Altair chart as SVG text; with `ink`, its text and lines in that colour, on no ground of its own."""
    import vl_convert

    check_addresses()
    spec = _drawable(chart.to_dict())
    if ink:
        axis = {f"{part}Color": ink for part in ("label", "title", "domain", "tick", "grid")} | {"gridOpacity": 0.15}
        look = {
            "background": "transparent",
            "axis": axis,
            "legend": {"labelColor": ink, "titleColor": ink},
            "title": {"color": ink, "subtitleColor": ink},
            "header": {"labelColor": ink, "titleColor": ink},
            "text": {"color": ink},
            "rule": {"color": ink},
            "view": {"stroke": "transparent"},
        }
        spec["config"] = {**spec.get("config", {}), **look}
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return drawn


def png(chart: Any) -> bytes:
    """An Altair chart as a picture of twice its size in pixels, for printing."""
    import vl_convert

    check_addresses()
    drawn: bytes = vl_convert.vegalite_to_png(_drawable(chart.to_dict()), scale=2)
    return drawn


def _drawable(spec: Any) -> Any:
    """A chart's specification for a picture, without the marks that nobody sees: they carry tips and most of its bytes.

    Texts are made visible: a control character, which XML cannot hold, would end the process.
    """
    if isinstance(spec, str):
        return visible(spec)
    if isinstance(spec, list):
        return [_drawable(part) for part in spec if not (isinstance(part, dict) and _is_unseen(part.get("mark")))]
    return {visible(key): _drawable(value) for key, value in spec.items()} if isinstance(spec, dict) else spec


def _is_unseen(mark: Any) -> bool:
    return isinstance(mark, dict) and mark.get("opacity") == 0


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def asset(name: str) -> str:
    """A script or style sheet of `axiom/report/assets`, as text."""
    return (files("axiom.report") / "assets" / name).read_text(encoding="utf-8")
