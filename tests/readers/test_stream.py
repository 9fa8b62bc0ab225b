"""Lines of a pipe become the records that a table of the same lines gives; wrong ones are counted and stop nothing."""

import json
import threading
import time

import numpy as np
import pytest

from twinprob.patient.record import Record
from twinprob.readers.stream import Stream
from twinprob.readers.tidy import read_tidy

HEADER = "time,variable,value,rate,unit,known"
ROWS = ["0,insulin,,2,U/h,", "60,glucose,9.5,,mmol/L,", "90,insulin,,3,U/h,", "120,glucose,LO,,mg/dL,150"]
LIMITS = {"glucose": (20, 600, "mg/dL")}


def objects():
    names = HEADER.split(",")
    cells = [dict(zip(names, row.split(","), strict=True)) for row in ROWS]
    return [json.dumps({name: cell for name, cell in row.items() if cell}) for row in cells]


@pytest.mark.parametrize("lines", [[HEADER, *ROWS], objects(), [json.loads(line) for line in objects()]])
def test_each_value_comes_with_what_was_given_before_it(lines, tmp_path):
    first, second = Stream(lines, limits=LIMITS)
    path = tmp_path / "whole.csv"
    path.write_text("\n".join([HEADER, *ROWS]))
    whole = read_tidy(path, ends="next", limits=LIMITS)
    assert first.inputs["insulin"].at(30.0) == whole.inputs["insulin"].at(30.0) == 2.0
    assert second.inputs["insulin"].at(100.0) == whole.inputs["insulin"].at(100.0) == 3.0
    assert second.start == pytest.approx(90.0)
    assert second.end == 150.0
    series = second.observations["glucose"]
    assert (series.limits.tolist(), series.known.tolist(), series.times.tolist()) == ([-1], [150.0], [120.0])


def test_wrong_lines_are_counted_by_reason_and_stop_nothing():
    good = '{"time": 60, "variable": "glucose", "value": 9, "unit": "mmol/L"}'
    wrong = ["garbage", '{"time": 60', good.replace("9", '"high"'), good.replace("mmol/L", "mmHg"), "[1, 2]",
             '{"time": 50, "variable": "insulin", "rate": -3, "unit": "U/h"}']  # fmt: skip
    stream = Stream([good, *wrong, good.replace("60", "70")])
    found = list(stream)
    assert [record.end for record in found] == [60.0, 70.0]
    assert stream.rows == 8
    assert sum(stream.unread.values()) == 6
    assert stream.unread["no JSON object"] == 3
    assert "insulin" not in found[1].inputs


def test_a_growing_file_is_followed_line_by_line(tmp_path):
    path = tmp_path / "growing.csv"
    found: list[Record] = []
    path.write_text(f"{HEADER}\n{ROWS[1]}\n120,gluc")
    stream = iter(Stream(path, wait="0.001 min"))

    def read():
        found.extend(next(stream) for _ in range(2))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    time.sleep(0.3)
    before = len(found)
    with path.open("a") as file:
        file.write("ose,8.5,,mmol/L,\n")
    reader.join(10.0)
    assert before <= 1
    assert [float(one.observations["glucose"].values[0]) for one in found] == [9.5, 8.5]


def test_a_whole_file_ends(tmp_path):
    path = tmp_path / "whole.csv"
    path.write_text("\n".join([HEADER, *ROWS]))
    assert len(list(Stream(path, limits=LIMITS))) == 2
    assert np.isfinite(Stream(path).rows)


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no file .nowhere\.csv. to follow"):
        Stream("nowhere.csv")
