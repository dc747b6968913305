"""What the command line prints, on terminals and in pipes whose encoding lacks some of our signs."""

import codecs
import io
import sys
import unicodedata

PLAIN = {
    "→": "->",
    "←": "<-",
    "─": "-",
    "━": "-",
    "╸": "-",
    "╺": "-",
    "│": "|",
    "·": "|",
    "×": "x",
    "…": "...",
    "–": "-",
    "—": "-",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "≥": ">=",
    "≤": "<=",
    "±": "+-",
    "•": "*",
}
"""What stands for a sign that the terminal cannot show; others lose their accents or become a question mark."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or _without_accents(sign) for sign in text), error.end


def _without_accents(sign: str) -> str:
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def show_anything() -> None:
    """Let standard output and error replace what their encoding cannot show, where they would raise."""
    codecs.register_error("axiom", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="axiom")
