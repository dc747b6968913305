"""What was counted of each family: its behaviourally distinct variants, and the wrong programs its cases reject.

Counting takes minutes, so the figures are stored here. `python -m axiom.problems.splits.counting` counts again.
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


MEASURED: dict[str, Measured] = {
    "anagram": Measured(3528, 3528, 1829, 108, 108),
    "arithmetic": Measured(4922400, 24000, 21094, 112, 112),
    "base_conversion": Measured(24576, 4000, 3564, 176, 176),
    "binary_search": Measured(3276, 3276, 2460, 174, 174),
    "caesar": Measured(24960, 4000, 3593, 165, 165),
    "coin_change": Measured(36456, 4000, 2190, 150, 150),
    "common_subsequence": Measured(75264, 4000, 3291, 156, 156),
    "digit_sums": Measured(61740, 4000, 2714, 108, 108),
    "edit_distance": Measured(23814, 4000, 3278, 257, 257),
    "fizzbuzz": Measured(31680, 4000, 3936, 201, 201),
    "gcd_lcm": Measured(13608, 4000, 3085, 117, 117),
    "grid_regions": Measured(18900, 4000, 2413, 253, 252),
    "grid_walk": Measured(42336, 4000, 3185, 177, 177),
    "intervals": Measured(6048, 4000, 3086, 111, 111),
    "knapsack": Measured(22050, 4000, 2162, 200, 198),
    "list_aggregate": Measured(236775, 4000, 3243, 116, 116),
    "list_filter": Measured(225500, 4000, 3563, 141, 141),
    "list_sort": Measured(73800, 4000, 2955, 127, 126),
    "matrix_lines": Measured(52920, 4000, 3117, 130, 129),
    "merge_lists": Measured(8379, 4000, 3397, 115, 115),
    "palindrome": Measured(3528, 3528, 2549, 133, 133),
    "parentheses": Measured(414460, 24000, 21707, 97, 94),
    "permutations": Measured(23100, 4000, 3247, 123, 122),
    "primes": Measured(7035, 4000, 2535, 159, 159),
    "queens": Measured(6300, 4000, 1802, 166, 165),
    "recurrence": Measured(241920, 4000, 3501, 124, 124),
    "roman_numerals": Measured(3072, 3072, 2723, 158, 158),
    "rpn": Measured(85698900, 24000, 22171, 123, 123),
    "run_length": Measured(64512, 4000, 3605, 187, 187),
    "stack_machine": Measured(81648, 4000, 3094, 159, 159),
    "string_count": Measured(43218, 4000, 2339, 120, 119),
    "string_transform": Measured(260225328, 4000, 3577, 110, 110),
    "subsets": Measured(22050, 4000, 3263, 160, 160),
    "two_sum": Measured(14112, 4000, 3349, 142, 142),
    "word_count": Measured(30240, 4000, 2697, 109, 109),
}
"""Family name to its figures."""
