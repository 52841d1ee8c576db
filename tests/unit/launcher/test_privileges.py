"""What the platform's user can reach, and what is made of a private home."""

import os
import pwd
from pathlib import Path

import pytest

from launcher import privileges


@pytest.fixture
def nobody(monkeypatch):
    monkeypatch.setattr(privileges, "USER", "nobody")
    return pwd.getpwnam("nobody")


@pytest.fixture
def open_place(tmp_path_factory):
    """A directory that everyone can reach, as pytest's own are not."""
    place = tmp_path_factory.mktemp("reach")
    for directory in [place, *place.parents]:
        if directory.stat().st_uid == os.getuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o011)
    return place


def test_a_closed_directory_above_is_found(nobody, open_place):
    tree = open_place / "home" / "tree"
    tree.mkdir(parents=True)
    assert privileges._first_hidden(tree) is None
    (open_place / "home").chmod(0o700)
    assert privileges._first_hidden(tree) == open_place / "home"


def test_a_directory_not_made_yet_is_not_hidden(nobody, open_place):
    assert privileges._first_hidden(open_place / "later" / "still") is None


def test_without_root_nothing_is_dropped(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert privileges.unprivileged(None, "exec true") == "exec true"
