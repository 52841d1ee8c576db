"""System packages: what is missing, and how it comes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launcher.report import LauncherError, run, say, step

# What `up` needs beyond Python itself.
RUNTIME = (
    "libseccomp2",  # compiles the seccomp profile
    "nftables",  # address translation and published ports
    "iproute2",  # help for people; the engine itself speaks netlink
    "procps",  # `docker top` with arguments
    "tini",  # the first process of containers with --init
)
TEST = (
    "busybox-static",
    "chromium",
    "debootstrap",
    "docker-compose",
    "docker.io",
    "docker-registry",
    "fonts-dejavu-core",
    "skopeo",
)
VIRTUAL_MACHINE = (
    "apparmor",
    "busybox-static",
    "cpio",
    "e2fsprogs",
    "kmod",
    "qemu-system-x86",
)
POLICY = Path("/usr/sbin/policy-rc.d")


def missing(names: Sequence[str]) -> list[str]:
    """Return which of the Debian packages are not installed.

    Raises: LauncherError(this is no Debian, so only a person can know).
    """
    if not shutil.which("dpkg-query"):
        raise LauncherError(
            "This system has no dpkg. Install what these Debian packages contain, then start "
            f"again with HYTHE_SYSTEM_PACKAGES=present: {' '.join(names)}"
        )
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    present = {
        line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")
    }
    return [name for name in names if name not in present]


def require(names: Sequence[str], why: str) -> None:
    """Install the packages that are missing, after naming them.

    Raises: LauncherError(not root, with the command to run · apt-get failed).
    """
    if os.environ.get("HYTHE_SYSTEM_PACKAGES") == "present":
        return
    wanted = missing(names)
    if not wanted:
        return
    say(f"  {why} needs these Debian packages: {' '.join(wanted)}")
    if os.geteuid() != 0:
        raise LauncherError(
            "Only root can install them. Run this, then start again:\n"
            f"    sudo apt-get update && sudo apt-get install -y {' '.join(wanted)}"
        )
    with step(f"installing {len(wanted)} system packages"), _services_held():
        _install(wanted)


def available(name: str) -> bool:
    """Tell whether apt knows an installable version of the package."""
    answer = subprocess.run(
        ["apt-cache", "policy", name], capture_output=True, text=True, check=False
    )
    return "Candidate:" in answer.stdout and "Candidate: (none)" not in answer.stdout


def refresh() -> None:
    """Fetch the package lists."""
    run(["apt-get", "update", "-q"], what="apt-get update")


def _install(names: Sequence[str]) -> None:
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        try:
            run(command, what="apt-get install", env=environment)
        except LauncherError:
            # Old lists name versions the mirror has replaced: fetch them once and try again.
            pass
        else:
            return
    refresh()
    run(command, what="apt-get install", env=environment)


@contextmanager
def _services_held() -> Iterator[None]:
    """Keep packages from starting their daemons: Hythe starts its own, on its own paths."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
