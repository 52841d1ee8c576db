"""Digests: content's own names, `sha256:` and 64 hex digits."""

from __future__ import annotations

import hashlib
import re

from engine.core.errors import InvalidArgument

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]{64}")


def is_digest(text: object) -> bool:
    """Tell whether `text` is a whole sha256 digest."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_hex(text: str) -> bool:
    """Tell whether `text` is the hexadecimal half of a digest."""
    return _HEX.fullmatch(text) is not None


def parse_digest(text: object) -> str:
    """Return `text` when it is a digest.

    Only sha256 is accepted: it is what every registry serves, and a name becomes a file name.
    Raises: InvalidArgument(anything else).
    """
    if not isinstance(text, str) or not is_digest(text):
        raise InvalidArgument(f"invalid digest: {str(text)[:100]!r}")
    return text


def digest_of(data: bytes) -> str:
    """Return the digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hex_of(digest: str) -> str:
    """Return the hexadecimal half."""
    return digest.partition(":")[2]


def short(digest: str) -> str:
    """Return the twelve digits shown to people."""
    return hex_of(digest)[:12]


def chain_ids(diff_ids: list[str]) -> list[str]:
    """Return the name of each stack of layers, from the first layer up.

    Source: OCI image-spec config.md, "Layer ChainID".
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
