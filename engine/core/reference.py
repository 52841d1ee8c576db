"""References: an image's name as people write it and as registries know it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from engine.core.digest import is_digest, is_hex, parse_digest
from engine.core.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL = "library/"
MAXIMUM_NAME = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Reference:
    """A normalised name: `domain`/`path` with a tag, a digest, both or neither."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Return the whole name, such as docker.io/library/busybox."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """Return the name as people write it, such as busybox."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        rest = self.path.removeprefix(OFFICIAL)
        # Only one component may go without "library/", else it would parse as something else.
        return self.path if "/" in rest else rest

    @property
    def familiar(self) -> str:
        """Return the familiar name with its tag and digest."""
        return f"{self.familiar_name}{self._suffix}"

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def __str__(self) -> str:
        """Return the whole name with its tag and digest."""
        return f"{self.name}{self._suffix}"

    @property
    def selector(self) -> str:
        """Return what a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def with_default_tag(self) -> Reference:
        """Return the reference with `latest` when it names no tag and no digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)


def parse_reference(text: str) -> Reference:
    """Read what a person typed.

    Raises: InvalidArgument(it is no reference), in the words the docker CLI prints.
    Source: distribution reference grammar (reference.go) and its normalisation.
    """
    if is_hex(text):
        raise InvalidArgument(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    rest, digest = _split_digest(text)
    domain, remainder = _split_domain(rest)
    path, tag = _split_tag(remainder)
    if domain == DEFAULT_DOMAIN and path and "/" not in path:
        path = OFFICIAL + path
    if not _PATH.fullmatch(path):
        if path != path.lower() and _PATH.fullmatch(path.lower()):
            shown = path.removeprefix(OFFICIAL)
            raise InvalidArgument(
                f"invalid reference format: repository name ({shown}) must be lowercase"
            )
        raise InvalidArgument("invalid reference format")
    if not _DOMAIN.fullmatch(domain) or (tag is not None and not _TAG.fullmatch(tag)):
        raise InvalidArgument("invalid reference format")
    if len(path) > MAXIMUM_NAME:
        raise InvalidArgument(f"repository name must not be more than {MAXIMUM_NAME} characters")
    return Reference(domain, path, tag, digest)


def parse_id(text: str) -> str | None:
    """Return the image ID `text` spells out in full, else None."""
    if is_digest(text):
        return text
    return f"sha256:{text}" if is_hex(text) else None


def _split_digest(text: str) -> tuple[str, str | None]:
    rest, at, digest = text.partition("@")
    if not at:
        return text, None
    try:
        return rest, parse_digest(digest)
    except InvalidArgument as error:
        raise InvalidArgument("invalid reference format") from error


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    # A first component with neither dot, colon nor capital is a user of the default registry.
    looks_like_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not looks_like_host:
        return DEFAULT_DOMAIN, text
    return (DEFAULT_DOMAIN if first == LEGACY_DOMAIN else first), rest


def _split_tag(text: str) -> tuple[str, str | None]:
    head, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return head, tag
