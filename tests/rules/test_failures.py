"""The collector of failures (tests/failures.py): a table that is broken fails, and every broken row is named."""

import pytest

from tests.failures import Failures


def test_failures_name_every_broken_row_and_try_all() -> None:
    """Rows after a broken one are tried, and the report has one entry for each broken row."""
    tried = []

    def table() -> None:
        with Failures() as failures:
            for number in range(5):
                with failures.case("row", number):
                    tried.append(number)
                    assert number not in (1, 3), f"{number} is odd"

    with pytest.raises(AssertionError) as caught:
        table()

    assert tried == [0, 1, 2, 3, 4]
    report = str(caught.value)
    assert report.startswith("2 of 5 failed:")
    assert "row 1: 1 is odd" in report
    assert "row 3: 3 is odd" in report
    assert "test_failures.py" in report


def test_failures_without_a_row_are_a_failure() -> None:
    """An empty table proves nothing, unless it may be empty."""
    with pytest.raises(AssertionError, match="no row"), Failures():
        pass

    with Failures(may_be_empty=True):
        pass


def test_failures_let_other_errors_through_and_keep_the_rows() -> None:
    """An error of another kind ends the test at once; the rows that failed before are in its notes."""

    def table() -> None:
        with Failures() as failures:
            with failures.case("row"):
                raise AssertionError("broken")
            raise RuntimeError("out of order")

    with pytest.raises(RuntimeError) as caught:
        table()

    assert "row: broken" in "".join(caught.value.__notes__)
