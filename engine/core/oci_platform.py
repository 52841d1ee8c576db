"""Platforms: which operating system and processor an image is for."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

# uname's names and those that people type, in the words of image manifests.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armhf": "arm",
    "i386": "386",
    "i686": "386",
}
_WORD = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class OciPlatform:
    """One platform; an empty variant stands for any."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def host(cls) -> OciPlatform:
        """Return the platform of this machine."""
        machine = os.uname().machine
        return cls("linux", _ARCHITECTURES.get(machine, machine))

    @classmethod
    def parse(cls, text: str) -> OciPlatform:
        """Read `os/architecture[/variant]`; a single word is an architecture of Linux.

        Raises: InvalidArgument(it is no platform).
        """
        words = text.strip().lower().split("/")
        if len(words) > 3 or not all(_WORD.fullmatch(word) for word in words):
            raise InvalidArgument(f'"{text}": unknown operating system or architecture')
        if len(words) == 1:
            words = [cls.host().os, words[0]] if words[0] != "linux" else [words[0]]
        if len(words) == 1:
            return cls.host()
        architecture = _ARCHITECTURES.get(words[1], words[1])
        return cls(words[0], architecture, words[2] if len(words) == 3 else "")

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> OciPlatform:
        """Read a descriptor's or a config's own words."""
        return cls(
            str(document.get("os") or ""),
            str(document.get("architecture") or ""),
            str(document.get("variant") or ""),
        )

    def accepts(self, other: OciPlatform) -> bool:
        """Tell whether an image made for `other` is what was asked for."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        return not self.variant or not other.variant or self.variant == other.variant

    def __str__(self) -> str:
        """Return os/architecture[/variant]."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
