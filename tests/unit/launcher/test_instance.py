"""Where an instance keeps its things."""

import os

import pytest

from launcher.instance import DEFAULT_DATA, DEFAULT_RUN, Instance, read_json, write_json
from launcher.report import LauncherError


def test_one_directory_holds_everything(tmp_path, monkeypatch):
    monkeypatch.chdir("/tmp")
    instance = Instance.at("/tmp/a")
    assert instance.engine_socket.parent == instance.data / "run"
    assert instance.redis_socket.is_relative_to(instance.run)
    assert instance.environment["REDIS_URL"] == f"unix://{instance.redis_socket}?db=0"


def test_the_default_of_root_is_the_system(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    instance = Instance.at(None)
    assert (instance.data, instance.run) == (DEFAULT_DATA, DEFAULT_RUN)


def test_the_default_of_others_is_their_home(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/tmp/share")
    assert str(Instance.at(None).data) == "/tmp/share/hythe"


def test_a_path_too_long_for_sockets_is_refused():
    with pytest.raises(LauncherError, match="shorter --data"):
        Instance.at("/tmp/" + "x" * 100)


@pytest.mark.parametrize(
    ("host", "reachable"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("192.0.2.1", "192.0.2.1")],
)
def test_an_address_for_all_is_reached_by_loopback(host, reachable):
    assert Instance.at("/tmp/a", host).reachable_host == reachable


def test_a_secret_of_the_callers_shell_does_not_reach_the_processes(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    assert "SOME_TOKEN" not in Instance.at("/tmp/a").environment


def test_facts_survive(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text('{"torn')
    assert read_json(path) == {}
