"""Runs programs that nobody vouches for and says how each one ended. Knows nothing of problems.

host.py       one template process, seen from the parent
pool.py       several templates: streaming, retries, canaries, recycling
judge.py      how a child ended and what it wrote -> outcome
selftest.py   what a fresh template must show before it is trusted
inside/       what runs on the other side of the boundary
"""

from axiom.sandbox.features import features

__all__ = ["features"]
