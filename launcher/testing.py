"""`test` and `bench`: install what they need, then run everything there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from launcher import packages, prepare, privileges
from launcher.instance import PYTHON, TREE, VENV
from launcher.report import LauncherError, say, step

SUITES = ("unit", "architecture", "contract", "integration", "conformance", "e2e")
NEEDS_PACKAGES = {"contract", "integration", "conformance", "e2e"}


@dataclass(frozen=True)
class Check:
    """One check that is no test: a title, a command, and where it runs."""

    title: str
    command: tuple[str, ...]
    frontend: bool = False


def test(arguments: Sequence[str]) -> int:
    """Run the checks and the tests, or the part of them that `arguments` name.

    Shape: words are suites (unit, integration, …), `lint` or `frontend`; all else goes to pytest.
           `vm` alone is the engine on pure cgroup v2, in a virtual machine.
    After: the last line is pytest's; the status is 0 only if every part passed.
    """
    if list(arguments) == ["vm"]:
        _install([], whole=True)
        packages.require(packages.VIRTUAL_MACHINE, "The virtual machine")
        return _python("-m", "tests.vm")
    words = [word for word in arguments if word in {*SUITES, "lint", "frontend"}]
    passed_on = [word for word in arguments if word not in words]
    everything = not words and not any("tests" in word for word in passed_on)
    suites = [word for word in words if word in SUITES] or (list(SUITES) if everything else [])
    _install(suites, whole=bool(passed_on) or everything)
    failed: list[str] = []
    if everything or "lint" in words:
        failed += _check(_linters())
    if prepare.has_frontend() and (everything or "frontend" in words):
        prepare.install_node_modules()
        failed += _check(_frontend_checks())
    if failed:
        say(f"\n  failed before the tests: {', '.join(failed)}\n")
    if words and not suites and not passed_on:
        return 1 if failed else 0
    paths = [f"tests/{suite}" for suite in suites if any((TREE / "tests" / suite).rglob("*.py"))]
    status = _python("-m", "pytest", *paths, *passed_on)
    return status or (1 if failed else 0)


def bench(arguments: Sequence[str]) -> int:
    """Measure, print a table and write JSON."""
    names = ["runc", "busybox-static", "skopeo", "docker-registry"]
    _install([], whole=True)
    packages.require(names, "The benchmarks")
    if not shutil.which("dockerd"):
        packages.require(["docker.io"], "The peer dockerd")
    return _python("-m", "tests.bench", *arguments)


def _install(suites: Sequence[str], *, whole: bool) -> None:
    root = os.geteuid() == 0
    if root:
        packages.require(packages.RUNTIME, "The engine")
    if whole or NEEDS_PACKAGES.intersection(suites):
        packages.require(packages.TEST, "Testing")
        _install_docker_client()
    prepare.prepare(development=True, frontend=prepare.has_frontend())
    if root:
        privileges.ensure_user()


def _install_docker_client() -> None:
    """Use the docker client on PATH, else Debian's: a package of its own since Debian 13."""
    if shutil.which("docker"):
        return
    if not packages.available("docker-cli") and not packages.available("docker.io"):
        packages.refresh()
    name = "docker-cli" if packages.available("docker-cli") else "docker.io"
    packages.require([name], "The conformance tests")


def _linters() -> list[Check]:
    tools = VENV / "bin"
    return [
        Check("ruff format", (str(tools / "ruff"), "format", "--check", "--quiet", ".")),
        Check("ruff check", (str(tools / "ruff"), "check", "--quiet", ".")),
        Check("mypy --strict", (str(tools / "mypy"),)),
        Check("import-linter", (str(tools / "lint-imports"),)),
    ]


def _frontend_checks() -> list[Check]:
    npm = str(VENV / "bin" / "npm")
    return [Check("frontend (npm run check)", (npm, "run", "--silent", "check"), frontend=True)]


def _check(checks: Sequence[Check]) -> list[str]:
    return [check.title for check in checks if not _passes(check)]


def _passes(check: Check) -> bool:
    output = ""
    try:
        with step(check.title):
            result = subprocess.run(
                check.command,
                cwd=TREE / "frontend" if check.frontend else TREE,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            if result.returncode:
                output = result.stdout
                raise LauncherError(check.title)
    except LauncherError:
        say(output)
        return False
    return True


def _python(*arguments: str) -> int:
    sys.stdout.flush()
    command = [str(PYTHON), *arguments]
    return subprocess.run(command, cwd=TREE, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    return prepare.node_environment() | {
        "PYTHONPATH": f"{TREE / 'platform'}:{TREE}",
        # Importing the settings makes a secret key; it must not be the machine's own instance's.
        "HYTHE_DATA": str(VENV / "test-data"),
    }
