"""The json-file log: what is written can be read back, whatever the bytes."""

from __future__ import annotations

import json

import pytest

from engine.supervisor.log import LINE_LIMIT, LogWriter


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        'quotes " and \\ backslashes',
        "tab\tand\rreturn and \x1b[31mcolour",
        "rare \x00\x07 control",
        "ümläut ✓",
        "",
    ],
)
def test_round_trip(tmp_path, text):
    """Every kind of line comes back as it was."""
    log = LogWriter(str(tmp_path / "log"), None, 1)
    log.write(1, f"{text}\nsecond\n".encode())
    log.close()
    assert [row["log"] for row in read(tmp_path / "log")] == [f"{text}\n", "second\n"]


def test_bytes_that_are_not_text(tmp_path):
    """Bad UTF-8 is replaced, and the lines beside it are kept."""
    log = LogWriter(str(tmp_path / "log"), None, 1)
    log.write(2, b"ok\n\xff\xfe\nend\n")
    log.close()
    rows = read(tmp_path / "log")
    assert [row["log"] for row in rows] == ["ok\n", "\ufffd\ufffd\n", "end\n"]
    assert {row["stream"] for row in rows} == {"stderr"}


def test_unfinished_lines_wait_for_their_end(tmp_path):
    """A line in two pieces is one record; the streams do not mix."""
    log = LogWriter(str(tmp_path / "log"), None, 1)
    log.write(1, b"one ")
    log.write(2, b"other\n")
    log.write(1, b"line\nrest")
    log.close()
    assert [row["log"] for row in read(tmp_path / "log")] == ["other\n", "one line\n", "rest"]


def test_long_lines_are_split(tmp_path):
    """A line over the limit becomes several records without newline but the last."""
    log = LogWriter(str(tmp_path / "log"), None, 1)
    log.write(1, b"x" * (LINE_LIMIT * 2 + 5) + b"\n")
    log.close()
    pieces = [row["log"] for row in read(tmp_path / "log")]
    assert [len(piece) for piece in pieces] == [LINE_LIMIT, LINE_LIMIT, 6]
    assert "".join(pieces) == "x" * (LINE_LIMIT * 2 + 5) + "\n"


def test_rotation_keeps_the_newest(tmp_path):
    """Files are numbered from the newest on, and no more than asked for are kept."""
    log = LogWriter(str(tmp_path / "log"), 200, 3)
    for number in range(20):
        log.write(1, f"line {number}\n".encode())
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    kept = read(tmp_path / "log.2") + read(tmp_path / "log.1") + read(tmp_path / "log")
    assert [row["log"] for row in kept][-1] == "line 19\n"
