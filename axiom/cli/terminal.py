"""What the command line prints, on terminals and in pipes whose encoding lacks some of our signs."""

import codecs
import io
import os
import sys
import unicodedata

from rich.console import Console

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


def settle_streams() -> None:
    """Open what a caller left closed, onto nothing, and let output replace what its encoding cannot show.

    A closed standard stream's number would go to the next file or socket, into which all output would then go.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            assert os.open(os.devnull, os.O_RDWR) == number, "the lowest free number is taken"
            os.set_inheritable(number, True)  # the private server has none either
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  (open until the end)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    codecs.register_error("axiom", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="axiom")


def forget_output() -> None:
    """Drop what standard output could not take: Python would try it again at the end, and fail in its own words."""
    try:
        sys.stdout.flush()
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


class Output(Console):
    """A console whose reader may leave: that ends the command, except for a run, which goes on without it."""

    outlives_its_reader = False

    def on_broken_pipe(self) -> None:
        """Called by rich where the pipe has no reader any more."""
        self.quiet = True
        forget_output()
        if not self.outlives_its_reader:
            raise SystemExit(1)
