"""Templates to pages and charts to pictures, without a network.

Whatever a template shows is escaped, unless the template itself says that it is safe.
"""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from axiom.environment import check_addresses

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **shown: Any) -> str:
    """A template of `axiom/report/templates` as text. A name that it uses and is not given raises."""
    return _environment().get_template(template).render(shown | {"style": asset("page.css")})


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("axiom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def script() -> str:
    """Vega, Vega-Lite and vegaEmbed as one script, so that a page needs no network."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return bundle


def svg(chart: Any) -> str:
    """An Altair chart as SVG text."""
    import vl_convert

    check_addresses()
    drawn: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return drawn


def asset(name: str) -> str:
    """A script or style sheet of `axiom/report/assets`, as text."""
    return (files("axiom.report") / "assets" / name).read_text(encoding="utf-8")
