"""A law over a table fails for each row that breaks it, and says which."""

import pytest

from tests.tables import every


def small(number, below, limit):
    assert number + below < limit, f"{number} and {below}"
    if number < 0:
        pytest.fail("negative")


def test_every_row_of_a_product_is_tried_and_those_that_fail_are_named():
    law = every("number", [1, 2, -9])(every("below, limit", [(0, 2), (5, 3)], ids=lambda row: f"below {row[1]}")(small))
    with pytest.raises(ExceptionGroup, match="5 of 6 rows fail") as found:
        law()
    assert [error.__notes__ for error in found.value.exceptions] == [
        ["in the row 1, below 3"],
        ["in the row 2, below 2"],
        ["in the row 2, below 3"],
        ["in the row -9, below 2"],
        ["in the row -9, below 3"],
    ]
    every("number", [1])(every("below", [0])(small))(limit=2)


def test_a_table_without_rows_fails():
    with pytest.raises(AssertionError, match="no rows"):
        every("number", [])(small)(below=0, limit=2)


@every("number", range(3))
def test_fixtures_are_those_of_the_test(tmp_path, number):
    (tmp_path / f"{number}").touch()
    assert len(list(tmp_path.iterdir())) == number + 1
