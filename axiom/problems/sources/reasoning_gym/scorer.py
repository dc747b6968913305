"""Runs inside the sandbox: a dataset's own scorer on one text of the model's.

The answer lies beside the text here, so a text that were evaluated could score itself. Some scorers do evaluate it
(`eval`, sympy's parser): what they compile from text may hold literals, arithmetic and the names below, nothing else.
"""

import marshal
import sys
from types import CodeType
from typing import Any

from reasoning_gym.factory import DATASETS

_MATHEMATICAL = """
    Integer Float Rational Symbol Function Add Mul Pow Abs E I pi oo exp log ln sqrt cbrt root sign re im conjugate
    sin cos tan cot sec csc asin acos atan acot asec acsc atan2 sinh cosh tanh coth sech csch asinh acosh atanh acoth
    erf erfc erfi Ei li Si Ci Chi Shi fresnels fresnelc gamma lowergamma uppergamma polylog Heaviside
"""
MATHEMATICAL = frozenset(_MATHEMATICAL.split())
_OWN_CODE = frozenset(("collections", "dataclasses", "sympy.polys.monomials"))
"""Modules that compile code which they wrote themselves, from templates without any text of the model's."""
_PREPARATION = (("sympy",), (0, ("*",), None))
"""Names and constants of `from sympy import *`, which sympy's parser runs before the text."""


def score(parts: bytes, text: str) -> float:
    """What the scorer gives `text`: 0 to 1. `parts` are the dataset's name, what its scorer reads, and the question."""
    name, plain, named, objects, entry = marshal.loads(parts)
    member, _ = DATASETS[name]
    dataset: Any = object.__new__(member)
    for attribute, value in plain.items():
        setattr(dataset, attribute, value)
    for attribute, (module, thing) in named.items():
        setattr(dataset, attribute, getattr(sys.modules[module], thing))
    for attribute, (module, kind, attributes) in objects.items():
        found = object.__new__(getattr(sys.modules[module], kind))
        vars(found).update(attributes)
        setattr(dataset, attribute, found)
    sys.addaudithook(_refuse_programs)
    return float(dataset.score_answer(text, entry))


def _refuse_programs(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "exec" and arguments[0].co_filename == "<string>" and not _is_formula(arguments[0]):
        caller = sys._getframe(1).f_globals.get("__name__")
        if caller not in _OWN_CODE:
            raise PermissionError("an answer is no program")


def _is_formula(code: CodeType) -> bool:
    """Whether `code` names nothing but mathematics and variables of one letter, and holds no function of its own."""
    if (code.co_names, code.co_consts) == _PREPARATION:
        return True
    inner = any(isinstance(constant, CodeType) for constant in code.co_consts)
    return not inner and all(len(name) == 1 or name in MATHEMATICAL for name in code.co_names)
