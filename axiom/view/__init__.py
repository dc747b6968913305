"""The sample browser: runs on disk to pages of samples, from a local server or as a folder of files."""

from urllib.parse import urlencode

HOST = "127.0.0.1"
PORT = 8765
"""Where `axiom view` serves the page unless it is told another port."""


def address(**state: str | int) -> str:
    """Of the page in the state that its fields name: `run`, `iteration`, `purpose`, `family`, ..."""
    return f"http://{HOST}:{PORT}/#{urlencode(state)}"
