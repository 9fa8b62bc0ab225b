import numpy as np
import pytest

from twinprob.patient.ledger import Ledger, Line

ACCOUNT = (
    Ledger()
    .noted("glucose", "", [0.0, 60.0], fate="used", source="labs", rows=[2, 3])
    .noted("glucose", "repeated row", [60.0], fate="merged", source="labs", rows=[4])
    .noted("insulin", "no time", [np.nan], source="doses", rows=[2])
)


def test_rows_in_are_those_used_merged_and_set_aside():
    parts = [ACCOUNT.select(fate=fate).count for fate in ("used", "merged", "set aside")]
    assert (ACCOUNT.count, parts) == (4, [2, 1, 1])


def test_lines_about_the_same_are_one_line():
    again = ACCOUNT.noted("glucose", "repeated row", [90.0], fate="merged", source="labs", rows=[9])
    (line,) = again.select(fate="merged")
    assert line.rows.tolist() == [4, 9]


def test_the_future_is_not_counted():
    assert [line.times.tolist() for line in ACCOUNT.until(30).select(variable="glucose")] == [[0.0]]


def test_a_row_without_a_time_stays():
    assert ACCOUNT.until(-1e6).select(variable="insulin").count == 1


def test_the_account_in_one_sentence():
    assert ACCOUNT.said() == (
        "4 rows: 2 used, 1 merged, 1 set aside (glucose: repeated row (1); insulin: no time (1))."
    )


def test_another_fate_is_refused():
    with pytest.raises(ValueError, match="must be one of used, merged, set aside"):
        Line("labs", "glucose", "lost", "", np.zeros(0), np.zeros(1))  # type: ignore[arg-type]
