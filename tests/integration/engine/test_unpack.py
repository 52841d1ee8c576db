"""Layers with tricks in them stay inside their directory."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile

import pytest


@pytest.fixture
def unpack(tmp_path):
    """Return a function that unpacks tar members and returns the result and the directory."""

    def run(*members):
        target = tmp_path / "target"
        target.mkdir()
        blob = tmp_path / "blob"
        with tarfile.open(blob, "w") as tar:
            for name, kind, content in members:
                item = tarfile.TarInfo(name)
                item.type = kind
                if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                    item.linkname = content
                    tar.addfile(item)
                else:
                    item.size = len(content)
                    tar.addfile(item, io.BytesIO(content))
        result = subprocess.run(
            [sys.executable, "-m", "engine.snapshots.unpack", blob, target],
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(result.stdout), target

    return run


def test_names_cannot_lead_out(unpack, tmp_path):
    """Dots, absolute names and links all end inside."""
    _, target = unpack(
        ("../../escape", tarfile.REGTYPE, b"x"),
        ("/absolute", tarfile.REGTYPE, b"x"),
        ("link", tarfile.SYMTYPE, str(tmp_path)),
        ("link/through", tarfile.REGTYPE, b"x"),
    )
    assert not (tmp_path / "through").exists()
    assert not (tmp_path.parent / "escape").exists()
    assert (target / "escape").exists()
    assert (target / "absolute").exists()


def test_hard_links_cannot_reach_the_host(unpack, tmp_path):
    """A hard link to a file of the host is an error, not a link."""
    secret = tmp_path / "secret"
    secret.write_text("s")
    result, _ = unpack(("stolen", tarfile.LNKTYPE, str(secret)))
    assert "error" in result
    assert secret.stat().st_nlink == 1


def test_whiteouts(unpack):
    """Deleted names become overlay's own marks."""
    _, target = unpack(
        ("dir/.wh.gone", tarfile.REGTYPE, b""), ("opaque/.wh..wh..opq", tarfile.REGTYPE, b"")
    )
    found = (target / "dir" / "gone").stat()
    assert stat.S_ISCHR(found.st_mode)
    assert found.st_rdev == 0
    assert os.getxattr(target / "opaque", "trusted.overlay.opaque") == b"y"


def test_what_is_no_archive(unpack, tmp_path):
    """Garbage is an error with words."""
    (tmp_path / "x").mkdir()
    (tmp_path / "garbage").write_bytes(os.urandom(5000))
    result = subprocess.run(
        [sys.executable, "-m", "engine.snapshots.unpack", tmp_path / "garbage", tmp_path / "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"]
