"""What trains next: which verified programs, and each arm's source of them."""

from axiom.selection.gold import (
    accepted as accepted,
    fingerprint as fingerprint,
    select as select,
    to_gold as to_gold,
    up_to_program as up_to_program,
    well_formed as well_formed,
)
