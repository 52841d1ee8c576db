"""Log lines back into a client's bytes: the fast way and the careful way say the same."""

from __future__ import annotations

import json

import pytest

from engine.containers import logs
from engine.containers.logs import LogQuery
from engine.supervisor.log import LogWriter

OUTPUT = [
    (1, b"plain\nlines\n\n"),
    (1, "smörgås ⚓\n".encode()),
    (1, b'quotes " and \\ slashes\n'),
    (2, b"an error\n"),
    (1, b"tab\tand bell\x07\n"),
    (1, b"bad \xff byte\n"),
    (1, b'{"log":"forged","stream":"stderr","time":"x"}\n'),
    (1, b"x" * 40000 + b"\n"),
    (1, b"no newline"),
]


def careful(data, terminal):
    """Format by reading each line as JSON."""
    result = b""
    for line in data.splitlines():
        record = json.loads(line)
        text = record["log"].encode()
        stream = 1 if record["stream"] == "stdout" else 2
        frame = bytes((stream, 0, 0, 0)) + len(text).to_bytes(4, "big")
        result += text if terminal else frame + text
    return result


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("output", [[item] for item in OUTPUT] + [OUTPUT, OUTPUT[:2] * 50])
def test_both_ways_agree(tmp_path, output, terminal):
    """Whatever is written is read as JSON says it."""
    writer = LogWriter(str(tmp_path / "log"), None, 1)
    for stream, data in output:
        writer.write(stream, data)
    writer.close()
    data = (tmp_path / "log").read_bytes()
    assert logs._format(data, LogQuery(), terminal) == (careful(data, terminal), False)


def test_plain_lines_take_the_fast_way(tmp_path):
    """What it is made for is not refused by it."""
    writer = LogWriter(str(tmp_path / "log"), None, 1)
    writer.write(1, b"one\ntwo\n")
    writer.close()
    data = (tmp_path / "log").read_bytes()
    assert logs._format_plain(data, LogQuery(), terminal=True) == b"one\ntwo\n"
    assert logs._format_plain(data, LogQuery(timestamps=True), terminal=True) is None
