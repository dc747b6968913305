"""A model's text on its way to a person: what would command a terminal or reorder a line is shown, not done."""

_CONTROLS = (
    *range(9),
    *range(11, 32),
    *range(127, 160),
    0x61C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
    0xFEFF,
)
_VISIBLE = {sign: ascii(chr(sign))[1:-1] for sign in _CONTROLS}
_ONE_LINE = {**_VISIBLE, ord("\n"): "\\n", ord("\t"): "\\t"}
_IN_JSON = {sign: f"\\u{sign:04x}" for sign in _CONTROLS}


def visible(text: str) -> str:
    """`text` with what would command a terminal or reorder a line written as its Python escape.

    These are control characters but newline and tab, marks of direction, and halves of surrogate pairs.
    """
    return text.translate(_VISIBLE)


def one_line(text: str) -> str:
    """The same, with newlines and tabs as escapes as well."""
    return text.translate(_ONE_LINE)


def visible_json(text: str) -> str:
    """JSON text that means the same, with such characters as JSON's escapes."""
    return text.translate(_IN_JSON)
