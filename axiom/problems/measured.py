"""What was counted of each family: its behaviourally distinct variants, and the wrong programs its cases reject.

Counting takes minutes, so the figures stand here. `python -m axiom.problems.counting` counts anew and prints the rows.
"""

from typing import NamedTuple


class Measured(NamedTuple):
    """`combinations` of options. Of the `tried` ones `distinct` behave differently and can be made problems of.

    So `distinct` is a lower bound where not all were tried. `cheats` were planted in problems of all difficulties with
    16 hidden cases, which reject `rejected` of them.
    """

    combinations: int
    tried: int
    distinct: int
    cheats: int
    rejected: int


MEASURED: dict[str, Measured] = {}
