"""What trains next: which verified programs, and each arm's source of them."""

from axiom.selection.gold import accepted, fingerprint, select, to_gold, up_to_program, well_formed

__all__ = [
    "accepted",
    "fingerprint",
    "select",
    "to_gold",
    "up_to_program",
    "well_formed",
]
