"""Images of Debian, made by debootstrap once per checkout: `debian` and, on it, `nginx`."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.images import ImageBuilder

SUITE = "bookworm"
CACHE = Path(__file__).parents[2] / ".venv" / "test-images"
SHED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")


def debian() -> ImageBuilder:
    """Return debian:bookworm, in one layer."""
    builder = ImageBuilder({"Cmd": ["bash"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]})
    builder.layers.append((_built() / "debian.tar").read_bytes())
    return builder


def nginx() -> ImageBuilder:
    """Return nginx on debian:bookworm, in three layers; its logs go to the container's streams."""
    builder = debian()
    builder.config |= {
        "Cmd": ["nginx", "-g", "daemon off;"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    }
    builder.layers.append((_built() / "nginx.tar").read_bytes())
    return builder.add_layer(
        {
            "var/log/nginx/access.log": ("/dev/stdout", 0o777),
            "var/log/nginx/error.log": ("/dev/stderr", 0o777),
            "var/www/html/index.html": (b"<h1>Reeds in the harbour</h1>\n", 0o644),
        }
    )


def _built() -> Path:
    """Return the directory of the layers' archives, made by whoever comes first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "nginx.tar").exists():
            _build(CACHE / "work")
    return CACHE


def _build(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    base, upper, merged = work / "base", work / "upper", work / "merged"
    for path in (base, upper, merged, work / "overlay"):
        path.mkdir(parents=True)
    _run("debootstrap", "--variant=minbase", SUITE, str(base), *_mirror())
    _shed(base)
    _pack(base, CACHE / "debian.tar")
    options = f"lowerdir={base},upperdir={upper},workdir={work / 'overlay'}"
    with _mounted("-t", "overlay", "-o", options, "overlay", str(merged)):
        policy = merged / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # nothing is started while it is installed
        policy.chmod(0o755)
        with (
            _mounted("-t", "proc", "proc", str(merged / "proc")),
            _mounted("--bind", "/dev", str(merged / "dev")),
        ):
            _run("chroot", str(merged), "apt-get", "-qq", "update")
            install = ("apt-get", "-qq", "install", "--no-install-recommends", "nginx-light")
            _run("chroot", str(merged), *install, "--yes")
        policy.unlink()
        _shed(merged)
        # Only what differs from the base is a layer; nothing of the base was removed.
        for path in upper.rglob("*"):
            if path.is_char_device():
                path.unlink()
    _pack(upper, CACHE / "nginx.tar")
    shutil.rmtree(work)


def _mirror() -> list[str]:
    """Return the mirror that this machine's apt uses; none leaves it to debootstrap."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    text = "\n".join(path.read_text() for path in files if path.is_file())
    found = re.search(r"^(?:deb\s+(?:\[.*?\]\s+)?|URIs:\s*)(https?://\S+)", text, re.MULTILINE)
    return [found[1]] if found else []


def _shed(root: Path) -> None:
    for name in SHED:
        for path in (root / name).glob("*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(root / "dev", ignore_errors=True)
    (root / "dev").mkdir()


def _pack(root: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, path.name)
    partial.rename(target)


@contextmanager
def _mounted(*arguments: str) -> Iterator[None]:
    _run("mount", *arguments)
    try:
        yield
    finally:
        _run("umount", arguments[-1])


def _run(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stdout[-2000:]}{result.stderr}"
