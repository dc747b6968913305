"""Named random streams.

Adjacent integer seeds leak: `Random(seed + index)` of one split meets that of the next. A stream here is
named, so a new stream leaves the old ones as they were and no two names share one.
"""

import hashlib
import random


def derive(root: int, *names: str | int) -> int:
    """A 63-bit seed for the stream `names` under `root`.

    Names are hashed with their type and length, so ("ab", "c"), ("a", "bc"), ("1",) and (1,) are four streams.
    """
    digest = hashlib.sha256()
    for name in (root, *names):
        tag = "i" if isinstance(name, int) else "s"
        text = str(name).encode()
        digest.update(f"{tag}{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def stream(root: int, *names: str | int) -> random.Random:
    """A `random.Random` seeded by `derive(root, *names)`."""
    return random.Random(derive(root, *names))
