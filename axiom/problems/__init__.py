"""The problem library: one file per family, problems that differ in what is to be computed, splits that never meet.

GENERATORS        name -> Family, found by looking into axiom/problems/families
check_families    refuse unknown families and impossible sizes before anything runs
generate_splits   train, val, test and the out-of-distribution splits, held out by construction
prove_disjoint    the proof that they are, as rows to store
audit_cases       a second hidden set for one problem
"""

from axiom.problems.registry import (
    GENERATORS as GENERATORS,
    check_families as check_families,
    family_named as family_named,
)
from axiom.problems.splits.bulk import generate as generate
from axiom.problems.splits.generate import audit_cases as audit_cases, generate_splits as generate_splits
from axiom.problems.splits.proof import prove_disjoint as prove_disjoint
