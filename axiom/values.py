"""Python values as JSON with their types kept apart: `True` is not `1`, `14.0` is not `14`, a tuple is not a list.

JSON already separates bool, int, float, str, list, null and string-keyed dicts. The rest is tagged, with a key no
plain value can have because any dict that holds it is tagged itself:

    tuple -> {"$": "tuple", "v": [...]}    set -> {"$": "set", "v": [...]}    frozenset, bytes (hex), complex alike
    dict with other keys -> {"$": "dict", "v": [[k, v], ...]}      nan, inf, -inf -> {"$": "float", "v": "nan"}
"""

import json
import math
from typing import Any

TAG = "$"

OPTIONS: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
ENCODER = json.JSONEncoder(**OPTIONS)
"""The sandbox puts one in its place that candidates cannot reach."""
_PLAIN = frozenset((bool, int, str, type(None)))


def encode(value: Any) -> str:
    """Canonical JSON of `value`: equal values of equal types give equal text.

    Raises TypeError for a type that has no encoding.
    """
    return ENCODER.encode(_pack(value))


def decode(text: str) -> Any:
    """The value that `encode` wrote as `text`."""
    return _unpack(json.loads(text))


def same(left: Any, right: Any) -> bool:
    """Equal in type and value, all the way down; nan equals nan, 0.0 does not equal -0.0."""
    return encode(left) == encode(right)


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
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
        return {TAG: "dict", "v": sorted(pairs, key=lambda pair: json.dumps(pair[0]))}
    if kind in (set, frozenset):
        return {TAG: kind.__name__, "v": sorted((_pack(item) for item in value), key=json.dumps)}
    if kind is bytes:
        return {TAG: "bytes", "v": value.hex()}
    if kind is complex:
        return {TAG: "complex", "v": [repr(value.real), repr(value.imag)]}
    raise TypeError(f"no JSON form for a value of type {kind.__name__}")


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: _unpack(item) for key, item in value.items()}
    return _UNTAG[value[TAG]](value["v"])


_UNTAG: dict[str, Any] = {
    "float": float,
    "tuple": lambda items: tuple(map(_unpack, items)),
    "set": lambda items: set(map(_unpack, items)),
    "frozenset": lambda items: frozenset(map(_unpack, items)),
    "bytes": bytes.fromhex,
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "dict": lambda pairs: {_unpack(key): _unpack(item) for key, item in pairs},
}
