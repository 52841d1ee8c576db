"""The shape of the tree: what no linter checks."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SOURCES = ("engine", "launcher", "platform")
OWN_WORDS = re.compile(r"/work/|\bissue #\d+", re.IGNORECASE)


def modules() -> Iterator[Path]:
    for source in SOURCES:
        for path in sorted((TREE / source).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def apps() -> list[str]:
    return [path.parent.name for path in sorted((TREE / "platform").glob("*/__init__.py"))]


def test_the_platform_is_a_source_root_and_never_a_package():
    assert not (TREE / "platform" / "__init__.py").exists()
    imported = "import platform, sys; sys.exit(not platform.python_version())"
    command = [sys.executable, "-c", imported]
    assert subprocess.run(command, cwd=TREE, check=False).returncode == 0


def test_no_app_is_named_like_a_module_of_the_library():
    assert not set(apps()) & sys.stdlib_module_names


def test_test_directories_are_no_packages():
    """One `__init__.py` below tests/unit/platform would break the whole run."""
    found = {path for path in (TREE / "tests").rglob("__init__.py") if "bench" not in path.parts}
    assert not found


def public(node: ast.AST) -> bool:
    return not getattr(node, "name", "_").startswith("_")


def undocumented(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    missing = [] if ast.get_docstring(tree) or not tree.body else [f"{path}: the module"]
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if public(node) and not ast.get_docstring(node):
            missing.append(f"{path.relative_to(TREE)}:{node.lineno} {node.name}")
    return missing


def test_public_things_have_docstrings():
    assert [line for path in modules() for line in undocumented(path)] == []


def test_the_launcher_needs_nothing_but_the_library():
    """It runs before .venv exists; the manager alone runs in it."""
    own = {"launcher"}
    for path in sorted((TREE / "launcher").glob("*.py")):
        if path.name == "manager.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names | own, f"{path.name} imports {name}"


def test_every_requirement_is_pinned_with_its_reason():
    for line in (TREE / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[\w\-\[\]]+==[\w.]+\s+# .+", line), line


def test_the_procfile_names_the_processes():
    lines = (TREE / "Procfile").read_text().splitlines()
    names = {line.partition(":")[0] for line in lines}
    assert names == {"engine", "redis", "web", "worker", "beat", "observer"}
    # A shell left in between would swallow the signal that stops the process.
    assert all(line.partition(":")[2].strip().startswith("exec ") for line in lines)


def tracked() -> list[Path]:
    output = subprocess.run(
        ["git", "ls-files", "-z"], cwd=TREE, capture_output=True, text=True, check=False
    )
    return [TREE / name for name in output.stdout.split("\0") if name]


def test_the_tree_speaks_of_itself_alone():
    here = Path(__file__)
    for path in tracked():
        if path == here or path.suffix not in {".py", ".md", ".toml", ".ts", ".tsx", ".css", ""}:
            continue
        if path.is_file() and path.name != "LICENSE":
            found = OWN_WORDS.search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(TREE)}: {found}"


@pytest.mark.parametrize("name", ["hythe", ".ci/run"])
def test_entry_points_can_be_run(name):
    assert os.access(TREE / name, os.X_OK)
