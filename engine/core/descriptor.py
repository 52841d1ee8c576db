"""Descriptors: a media type, a digest and a size; and the documents made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.core.digest import parse_digest
from engine.core.errors import InvalidArgument
from engine.core.oci_platform import OciPlatform

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_PLAIN = "application/vnd.docker.image.rootfs.diff.tar"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

MANIFESTS = (DOCKER_MANIFEST, OCI_MANIFEST)
INDEXES = (DOCKER_LIST, OCI_INDEX)
SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

MAXIMUM_LAYERS = 127  # more than the Docker Engine allows, and than overlay was tried with


@dataclass(frozen=True)
class Descriptor:
    """What a piece of content is, how it is named and how long it is."""

    media_type: str
    digest: str
    size: int
    platform: OciPlatform | None = None
    annotations: dict[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_json(cls, document: object) -> Descriptor:
        """Read one descriptor.

        Raises: InvalidArgument(a field is missing or of the wrong kind).
        """
        if not isinstance(document, dict):
            raise InvalidArgument("invalid descriptor: not an object")
        size = document.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidArgument(f"invalid descriptor: size {str(size)[:40]!r}")
        platform = document.get("platform")
        annotations = document.get("annotations") or {}
        if not isinstance(annotations, dict):
            raise InvalidArgument("invalid descriptor: annotations")
        return cls(
            media_type=str(document.get("mediaType") or ""),
            digest=parse_digest(document.get("digest")),
            size=size,
            platform=OciPlatform.from_json(platform) if isinstance(platform, dict) else None,
            annotations={str(key): str(value) for key, value in annotations.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the three fields that every reader needs."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Manifest:
    """One image for one platform: its config and its layers, base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @classmethod
    def from_json(cls, document: object) -> Manifest:
        """Read a Docker schema 2 or OCI manifest.

        Raises: InvalidArgument(it is neither, or has too many layers).
        """
        if not isinstance(document, dict) or not isinstance(document.get("layers"), list):
            raise InvalidArgument("invalid manifest: no list of layers")
        if len(document["layers"]) > MAXIMUM_LAYERS:
            raise InvalidArgument(f"invalid manifest: more than {MAXIMUM_LAYERS} layers")
        return cls(
            Descriptor.from_json(document.get("config")),
            tuple(Descriptor.from_json(layer) for layer in document["layers"]),
        )


def choose_manifest(index: object, wanted: OciPlatform) -> Descriptor | None:
    """Return the first manifest of `index` that suits `wanted`, or None.

    An exact variant wins over a missing one. Entries for platform "unknown" are attestations.
    Raises: InvalidArgument(`index` is no index).
    """
    if not isinstance(index, dict) or not isinstance(index.get("manifests"), list):
        raise InvalidArgument("invalid index: no list of manifests")
    entries = [Descriptor.from_json(entry) for entry in index["manifests"]]
    suiting = [entry for entry in entries if entry.platform and wanted.accepts(entry.platform)]
    exact = [entry for entry in suiting if entry.platform == wanted]
    return next(iter(exact or suiting), None)
