"""Fixtures shared by the suites that run real parts."""

from __future__ import annotations

import os
import shutil

import pytest

ROOT_SUITES = ("integration", "conformance", "e2e")


def pytest_collection_modifyitems(config, items):
    """Skip what needs root where there is none, and say so."""
    if os.geteuid() == 0:
        return
    needs_root = pytest.mark.skip(reason="real containers need root")
    for item in items:
        relative = item.path.relative_to(config.rootpath / "tests").parts
        if relative and relative[0] in ROOT_SUITES:
            item.add_marker(needs_root)


@pytest.fixture(scope="session")
def docker():
    """Return the docker client on PATH."""
    found = shutil.which("docker")
    if not found:
        pytest.fail("no docker client on PATH: run the tests with ./hythe test")
    return found
