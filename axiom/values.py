"""Python values as JSON with their types kept apart: `True` is not `1`, `14.0` is not `14`, a tuple is not a list.

JSON already separates bool, int, float, str, list, null and string-keyed dicts. The rest is tagged, with a key no
plain value can have because any dict that holds it is tagged itself:

    tuple -> {"$": "tuple", "v": [...]}    set -> {"$": "set", "v": [...]}    frozenset, bytes (hex), complex alike
    dict with other keys -> {"$": "dict", "v": [[k, v], ...]}      nan, inf, -inf -> {"$": "float", "v": "nan"}
    int of more than 2,048 bits -> {"$": "int", "v": "-1f0..."}, in hexadecimal

Python refuses to convert decimal integers of more than some 4,300 digits, and a candidate may move that limit;
hexadecimal has no limit and takes linear time.
"""

import json
import math
from collections.abc import Callable
from typing import Any

TAG = "$"

OPTIONS: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
ENCODER = json.JSONEncoder(**OPTIONS)
"""The sandbox puts one in its place that candidates cannot reach."""
_PLAIN = frozenset((bool, str, type(None)))
_BITS = 2048
"""Up to which integers are in decimal, with 617 digits: Python converts 640 under every setting of its limit."""
_PIECE = 512
"""Digits that are converted at once; see `integer`."""
_SHOWN = 80


def encode(value: Any) -> str:
    """Canonical JSON of `value`: equal values of equal types give equal text.

    Raises TypeError for a type that has no encoding and RecursionError for a value that is nested too deeply.
    """
    return ENCODER.encode(_pack(value))


def decode(text: str) -> Any:
    """The value that `encode` wrote as `text`; integers may be of any size and in decimal.

    Raises ValueError for any other text.
    """
    try:
        return unpack(parse(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse(text: str) -> Any:
    """Plain JSON with integers of any size. Raises ValueError, RecursionError when it is nested too deeply."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer beyond Python's limit
        return json.loads(text, parse_int=integer)


def integer(digits: str) -> int:
    """The integer that `digits` write in decimal, a sign in front allowed, whatever Python's limit on digits is."""
    if digits.startswith("-"):
        return -integer(digits[1:])
    if len(digits) <= _PIECE:
        return int(digits)
    low = len(digits) // 2
    return integer(digits[:-low]) * 10**low + integer(digits[-low:])


def same(left: Any, right: Any) -> bool:
    """Equal in type and value, all the way down; nan equals nan, 0.0 does not equal -0.0."""
    return encode(left) == encode(right)


def close(left: Any, right: Any) -> bool:
    """Equal in type, and in value but for floats, which may differ by 1e-6, relative or absolute."""
    if type(left) is not type(right):
        return False
    if isinstance(right, float):
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-6)
    if isinstance(right, complex):
        return close(left.real, right.real) and close(left.imag, right.imag)
    if isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(close, left, right))
    if isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[key], right[key]) for key in right)
    return same(left, right)


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -1 <= value >> _BITS <= 0 else {TAG: "int", "v": format(value, "x")}
    if kind is float:
        return value if math.isfinite(value) else {TAG: "float", "v": repr(value)}
    if kind is list:
        return [item if type(item) in _PLAIN else _pack(item) for item in value]
    if kind is tuple:
        return {TAG: "tuple", "v": [_pack(item) for item in value]}
    if kind is dict:
        if TAG not in value and all(type(key) is str for key in value):
            return {key: _pack(value[key]) for key in sorted(value)}
        pairs = [[_pack(key), _pack(item)] for key, item in value.items()]
        return {TAG: "dict", "v": sorted(pairs, key=lambda pair: ENCODER.encode(pair[0]))}
    if kind in (set, frozenset):
        return {TAG: kind.__name__, "v": sorted((_pack(item) for item in value), key=ENCODER.encode)}
    if kind is bytes:
        return {TAG: "bytes", "v": value.hex()}
    if kind is complex:
        return {TAG: "complex", "v": [repr(value.real), repr(value.imag)]}
    raise TypeError(f"no JSON form for a value of type {kind.__name__}")


def unpack(value: Any) -> Any:
    """The value of plain JSON with tags in it. Raises ValueError, RecursionError when it is nested too deeply."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: unpack(item) for key, item in value.items()}
    tag = value[TAG]
    if not isinstance(tag, str) or tag not in _MAKE or value.keys() != {TAG, "v"}:
        raise ValueError(f'{_short(value)} needs a tag "{TAG}", one of {", ".join(_MAKE)}, and its value "v"')
    parts = value["v"] if tag in _SCALARS else _items(value)
    try:
        found = _MAKE[tag](parts)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"{_short(value)} is no {tag}: {error}") from None
    if tag in _SCALARS and _pack(found) != value:
        raise ValueError(f"{_short(value)} is not how {tag} is written")
    return found


def _items(value: dict[str, Any]) -> list[Any]:
    if not isinstance(value["v"], list):
        raise ValueError(f'{_short(value)} needs a list as its value "v"')
    return [unpack(item) for item in value["v"]]


def _dict(pairs: list[Any]) -> dict[Any, Any]:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("it needs pairs [key, value]")
    return dict(pairs)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "bytes": bytes.fromhex,
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
}
_MAKE = _SCALARS | {"tuple": tuple, "set": set, "frozenset": frozenset, "dict": _dict}
