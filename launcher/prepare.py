"""Make the tree runnable: Python environment, requirements, frontend, bytecode."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from launcher import packages
from launcher.instance import PYTHON, TREE, VENV
from launcher.report import LauncherError, run, step
from launcher.stamps import fingerprint, finish, fresh, tree_lock

FRONTEND = TREE / "frontend"
BUILT = FRONTEND / "dist" / "index.html"


def prepare(*, development: bool = False, frontend: bool = True) -> None:
    """Bring the tree up to date; costs next to nothing when it is.

    After: .venv holds exactly the pinned requirements and frontend/dist the built frontend.
    """
    with tree_lock():
        make_environment()
        install_requirements(development=development)
        if frontend:
            build_frontend()
        compile_sources()


def make_environment() -> None:
    """Make .venv with a Python that every user of the machine can run."""
    if PYTHON.exists() and _works(PYTHON):
        return
    base = _base_python()
    with step(f"making .venv with {base}"):
        if VENV.exists():
            shutil.rmtree(VENV)
        if not _has_venv(base):
            packages.require(["python3-venv"], "A Python environment")
        run([base, "-m", "venv", str(VENV)], what="python -m venv")


def install_requirements(*, development: bool) -> None:
    """Install the pinned requirements unless they are the ones installed last."""
    value = fingerprint([TREE / "requirements.txt", TREE / "requirements-dev.txt"])
    value += _python_identity()
    kinds = ("development", "runtime") if not development else ("development",)
    if any(fresh(f"requirements-{kind}", value) for kind in kinds):
        return
    kind = "development" if development else "runtime"
    name = "requirements-dev.txt" if development else "requirements.txt"
    with step(f"installing {name}"):
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*command, "-r", str(TREE / name)], what=f"pip install -r {name}")
    finish(f"requirements-{kind}", value)


def has_frontend() -> bool:
    """Tell whether this checkout has the frontend: the engine can be had and tested alone."""
    return (FRONTEND / "index.html").exists()


def build_frontend() -> None:
    """Build frontend/dist when its sources are newer than what stands there."""
    if not has_frontend():
        raise LauncherError("frontend/index.html is missing: this checkout is not complete.")
    sources = fingerprint([FRONTEND])
    if BUILT.exists() and fresh("frontend", sources):
        return
    install_node_modules()
    with step("building the frontend"):
        run_npm("run", "build")
        # Compressed once here, sent as it is: a third of the bytes for a browser far away.
        command = [str(PYTHON), "-m", "whitenoise.compress", "--quiet", str(BUILT.parent)]
        run(command, what="compressing the frontend")
    finish("frontend", sources)


def install_node_modules() -> None:
    """Install exactly the packages of package-lock.json."""
    value = fingerprint([FRONTEND / "package.json", FRONTEND / "package-lock.json"])
    if (FRONTEND / "node_modules").is_dir() and fresh("node_modules", value):
        return
    with step("installing the frontend's packages"):
        run_npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    finish("node_modules", value)


def run_npm(*arguments: str) -> None:
    """Run npm with the Node of .venv, whatever else the machine has."""
    run(
        [str(VENV / "bin" / "npm"), *arguments],
        what=f"npm {arguments[0]}",
        cwd=FRONTEND,
        env=node_environment(),
    )


def node_environment() -> dict[str, str]:
    """Return an environment in which `node` is the one of .venv."""
    return os.environ | {"PATH": f"{VENV / 'bin'}:{os.environ.get('PATH') or os.defpath}"}


def compile_sources() -> None:
    """Write the bytecode that the unprivileged user may not write beside the sources."""
    sources = [TREE / name for name in ("engine", "platform", "launcher")]
    digest = hashlib.sha256()
    for source in sources:
        for directory, _, files in os.walk(source):
            for file in files:
                if file.endswith(".py"):
                    path = os.path.join(directory, file)
                    digest.update(f"{path} {os.stat(path).st_mtime_ns}\n".encode())
    value = digest.hexdigest() + _python_identity()
    if fresh("bytecode", value):
        return
    # A source that does not compile is reported by the process that imports it.
    subprocess.run(
        [str(PYTHON), "-m", "compileall", "-q", *map(str, sources)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    finish("bytecode", value)


def _base_python() -> str:
    """Choose the system's Python: one in a user's home is out of reach for other users."""
    for candidate in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.access(candidate, os.X_OK) and _recent(candidate):
            return candidate
    return sys.executable


def _recent(python: str) -> bool:
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", check], check=False).returncode == 0


def _has_venv(python: str) -> bool:
    command = [python, "-c", "import ensurepip, venv"]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0


def _works(python: Path) -> bool:
    """Tell whether the environment is whole: its Python may have been upgraded away."""
    command = [str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        healthy = subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False
    return healthy and (VENV / "bin" / "pip").exists()


def _python_identity() -> str:
    return os.path.realpath(PYTHON)
