"""System packages are named before anything is done, and only root installs them."""

import os

import pytest

from launcher import packages
from launcher.report import LauncherError


def test_without_root_the_command_is_told(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(packages, "missing", lambda names: list(names))
    with pytest.raises(LauncherError, match="apt-get install -y one two"):
        packages.require(["one", "two"], "Something")
    assert "Something needs these Debian packages: one two" in capsys.readouterr().out


def test_nothing_is_done_when_all_is_there(monkeypatch, capsys):
    monkeypatch.setattr(packages, "missing", lambda names: [])
    packages.require(["one"], "Something")
    assert capsys.readouterr().out == ""
