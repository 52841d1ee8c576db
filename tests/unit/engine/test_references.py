"""Names of images, as people write them."""

from __future__ import annotations

import pytest

from engine.core.errors import InvalidArgument
from engine.core.reference import parse_reference


@pytest.mark.parametrize(
    ("text", "whole", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("team/app:1", "docker.io/team/app:1", "team/app:1"),
        ("localhost:5000/a/b", "localhost:5000/a/b", "localhost:5000/a/b"),
        ("docker.io/library/nginx:2", "docker.io/library/nginx:2", "nginx:2"),
    ],
)
def test_normalised(text, whole, familiar):
    """The default registry and namespace come and go."""
    reference = parse_reference(text)
    assert str(reference) == whole
    assert reference.familiar == familiar


@pytest.mark.parametrize("text", ["", "UPPER", "a//b", "a:b:c", "-x", "a@sha256:12", "f" * 64])
def test_refused(text):
    """What is no reference is told so."""
    with pytest.raises(InvalidArgument, match="invalid re"):
        parse_reference(text)
