"""`python -m axiom.cli`."""

from axiom.cli.app import main

main()
