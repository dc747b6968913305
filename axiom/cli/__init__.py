"""The command line: one module per group of commands, each registering on the apps of `axiom.cli.app`.

`axiom ... --help` must stay quick: a command imports what it needs inside its body.
"""

from axiom.cli.app import main

__all__ = ["main"]
