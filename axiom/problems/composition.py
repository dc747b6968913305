"""Two variants made one: B(A(x)) where the types allow it, else both results side by side."""

import functools
import itertools
import random
import re
from collections.abc import Callable
from typing import Any

from axiom.config.names import JOINT
from axiom.problems.family import Family, Sampler, function, top_level_names
from axiom.problems.space import Axes, Names, Variant


def joined(first: Names, second: Names) -> Names:
    """The variant of a composition from the variants of its parts."""
    return {f"first.{axis}": name for axis, name in first.items()} | {
        f"second.{axis}": name for axis, name in second.items()
    }


def _part(v: Variant, which: str) -> Variant:
    return {axis.partition(".")[2]: option for axis, option in v.items() if axis.startswith(f"{which}.")}


def _types(parameters: str) -> list[str]:
    return [parameter.partition(": ")[2] for parameter in parameters.split(", ")]


def chains(first: Family, second: Family) -> bool:
    """Whether what `first` returns is a legal argument of `second`."""
    return second.accepts_any and _types(second.parameters) == [first.returns]


@functools.cache
def compose(first: Family, second: Family) -> Family:
    """The family of all compositions of a variant of `first` with one of `second`."""
    return _chain(first, second) if chains(first, second) else _pair(first, second)


def _axes(first: Family, second: Family) -> list[Axes]:
    products: list[Axes] = []
    for left, right in itertools.product(first.space.products, second.space.products):
        parts = (("first", left), ("second", right))
        products.append({f"{part}.{axis}": options for part, axes in parts for axis, options in axes.items()})
    return products


def _family(
    first: Family,
    second: Family,
    link: str,
    parameters: str,
    returns: str,
    call: str,
    describe: Callable[[Variant], str],
    solve: Callable[..., Any],
    sample: Sampler,
    accepts_any: bool,
) -> Family:
    """The family whose programs hold those of both and return what `call` makes of them."""

    def program(v: Variant) -> str:
        parts = (_renamed(one.program(_part(v, which)), which) for one, which in ((first, "first"), (second, "second")))
        main = function(f"def combined({parameters}) -> {returns}", f"return {call}")
        return "\n\n\n".join([*(part.strip() for part in parts), main])

    return Family(
        name=f"{first.name}{JOINT}{second.name}",
        title=f"{first.title}, {link}: {second.title}",
        entry_point="combined",
        parameters=parameters,
        returns=returns,
        axes=_axes(first, second),
        describe=describe,
        program=program,
        solve=solve,
        sample=sample,
        accepts_any=accepts_any,
    )


def _renamed(source: str, prefix: str) -> str:
    """`source` with `prefix` before each of its top-level names, so that two programs share a module."""
    for name in sorted(top_level_names(source)):
        source = re.sub(rf"(?<![\w.'\"]){name}\b(?!['\"])", f"{prefix}_{name}", source)
    return source


def _chain(first: Family, second: Family) -> Family:
    parameter = second.parameters.partition(":")[0]
    call = f"second_{second.entry_point}(first_{first.entry_point}({_arguments(first)}))"

    def describe(v: Variant) -> str:
        steps = first.describe(_part(v, "first")), second.describe(_part(v, "second"))
        return f"Work in two steps. Step 1: {steps[0]} Step 2, with {parameter} being what step 1 returned: {steps[1]}"

    def solve(v: Variant, *args: Any) -> Any:
        return second.solve(_part(v, "second"), first.solve(_part(v, "first"), *args))

    def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[Any]:
        return first.sample(_part(v, "first"), rng, stratum, size)

    returns, any_value = second.returns, first.accepts_any
    return _family(first, second, "then", first.parameters, returns, call, describe, solve, sample, any_value)


def _pair(first: Family, second: Family) -> Family:
    parameters = ", ".join((_marked(first, "a_"), _marked(second, "b_")))
    calls = (
        f"first_{first.entry_point}({_arguments(first, 'a_')})",
        f"second_{second.entry_point}({_arguments(second, 'b_')})",
    )
    count = len(first.parameters.split(", "))

    def describe(v: Variant) -> str:
        parts = [
            f"Part {label} (where {_arguments(family)} means {_arguments(family, mark)}): "
            + family.describe(_part(v, which))
            for label, which, family, mark in (("A", "first", first, "a_"), ("B", "second", second, "b_"))
        ]
        return f"Return a list of two items, the results of part A and of part B. {' '.join(parts)}"

    def solve(v: Variant, *args: Any) -> list[Any]:
        return [first.solve(_part(v, "first"), *args[:count]), second.solve(_part(v, "second"), *args[count:])]

    def sample(v: Variant, rng: random.Random, stratum: str, size: int) -> list[Any]:
        left = first.sample(_part(v, "first"), rng, stratum, size)
        return [*left, *second.sample(_part(v, "second"), rng, stratum, size)]

    both, any_value = f"[{', '.join(calls)}]", first.accepts_any and second.accepts_any
    return _family(first, second, "and", parameters, "list", both, describe, solve, sample, any_value)


def _marked(family: Family, mark: str) -> str:
    return ", ".join(mark + part for part in family.parameters.split(", "))


def _arguments(family: Family, mark: str = "") -> str:
    return ", ".join(mark + part.partition(":")[0] for part in family.parameters.split(", "))
