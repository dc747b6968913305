"""What a family is, and how its printed function becomes something that runs."""

import ast
import functools
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from axiom.problems.cases.inputs import Independent, one_language
from axiom.problems.space import Axes, Names, Space, Variant

Sampler = Callable[[Variant, random.Random, str, int], list[Any]]


@dataclass(frozen=True, eq=False)
class Family:
    """An algorithmic skill. Its four functions all start from a variant, each by its own route.

    `describe` tells a reader, `program` prints the reference function, `solve` interprets the variant on arguments
    (its results are the expected values), and `sample(variant, rng, stratum, size)` draws legal arguments. The
    strata are those of `axiom.problems.cases.inputs`; `size` is the usual number of items, digits or characters. `axes`
    is a product of choices, or several where kinds of task need other axes. `accepts_any` says that every value of the
    parameter's type is a legal argument, so that another function's result may be handed in. `language` tells what
    of a variant `sample` looks at: two variants of the same language draw the same arguments from the same stream.
    Without it, no two variants are taken to share theirs. `patience` is how many further draws in a row may tell no
    wrong program before the cases are settled; families that are made by the ten thousand take less.
    """

    name: str
    title: str
    entry_point: str
    parameters: str
    returns: str
    axes: Axes | Sequence[Axes]
    describe: Callable[[Variant], str]
    program: Callable[[Variant], str]
    solve: Callable[..., Any]
    sample: Sampler
    accepts_any: bool = False
    language: Callable[[Variant], Hashable] | None = None
    patience: int = 64
    space: Space = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        products = [self.axes] if isinstance(self.axes, Mapping) else self.axes
        object.__setattr__(self, "space", Space(*products))
        if isinstance(self.sample, Independent):
            object.__setattr__(self, "language", one_language)

    @functools.cached_property
    def signature(self) -> str:
        """The line a candidate's function starts with, without its colon."""
        return f"def {self.entry_point}({self.parameters}) -> {self.returns}"

    @property
    def difficulties(self) -> tuple[int, int]:
        """Lowest and highest difficulty that has variants."""
        levels = [level for level in range(1, 11) if self.space.count(level)]
        return levels[0], levels[-1]

    @property
    def variants(self) -> int:
        """Number of combinations over all difficulties."""
        return sum(self.space.count(level) for level in range(1, 11))

    def reference(self, names: Names) -> str:
        """The printed reference solution of a variant: plain Python, nothing beyond the standard library."""
        return self.printed(self.space.variant(names))

    def printed(self, variant: Variant) -> str:
        """`reference`, from the options themselves."""
        return self.program(variant).strip() + "\n"


def load(source: str, entry_point: str) -> Callable[..., Any]:
    """The function a *trusted* reference solution defines. Never for a model's program: that is the sandbox's."""
    scope: dict[str, Any] = {"__name__": "reference"}
    exec(compile(source, "<reference>", "exec"), scope)  # our own printed code
    loaded: Callable[..., Any] = scope[entry_point]
    return loaded


def top_level_names(source: str) -> set[str]:
    """Names that a printed program defines at its top level."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def function(head: str, *body: str) -> str:
    """Source of a function from its signature and the lines of its body, each relative to the body's indent."""
    lines = [line for part in body if part for line in part.split("\n")]
    return head + ":\n" + "\n".join(f"    {line}" if line.strip() else "" for line in lines)
