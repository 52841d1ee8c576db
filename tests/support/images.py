"""Real images for tests, made from Debian packages, and the way into a registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = Path("/bin/busybox")


@dataclass
class ImageBuilder:
    """Layers and a config, written as an OCI layout."""

    config: dict[str, object] = field(default_factory=dict)
    layers: list[bytes] = field(default_factory=list)

    def add_layer(self, files: dict[str, tuple[bytes | str | None, int]]) -> ImageBuilder:
        """Add a layer: path → (bytes of a file, str of a symlink or None of a directory, mode)."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, (content, mode) in files.items():
                item = tarfile.TarInfo(path)
                item.mode = mode
                if content is None:
                    item.type = tarfile.DIRTYPE
                elif isinstance(content, str):
                    item.type, item.linkname = tarfile.SYMTYPE, content
                else:
                    item.size = len(content)
                tar.addfile(item, io.BytesIO(content) if isinstance(content, bytes) else None)
        self.layers.append(buffer.getvalue())
        return self

    def write(self, directory: Path, name: str) -> Path:
        """Write an OCI layout with one image called `name`."""
        blobs = directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)

        def put(data: bytes, kind: str) -> dict[str, object]:
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

        prefix = "application/vnd.oci.image"
        layers = [
            put(gzip.compress(data, 1, mtime=0), f"{prefix}.layer.v1.tar+gzip")
            for data in self.layers
        ]
        diff_ids = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in self.layers]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": "2026-01-01T00:00:00Z"} for _ in diff_ids],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{prefix}.manifest.v1+json",
            "config": put(json.dumps(config).encode(), f"{prefix}.config.v1+json"),
            "layers": layers,
        }
        entry = put(json.dumps(manifest).encode(), f"{prefix}.manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        index = {"schemaVersion": 2, "manifests": [entry]}
        (directory / "index.json").write_text(json.dumps(index))
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return directory


def busybox() -> ImageBuilder:
    """Return an image of Debian's static busybox, in two layers."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout
    files: dict[str, tuple[bytes | str | None, int]] = {
        "bin": (None, 0o755),
        "tmp": (None, 0o1777),
        "root": (None, 0o700),
        "bin/busybox": (BUSYBOX.read_bytes(), 0o755),
    }
    for name in applets.split():
        if name != "busybox":
            files[f"bin/{name}"] = ("busybox", 0o777)
    users = b"root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/home/worker:/bin/sh\n"
    groups = b"root:x:0:\nworker:x:1000:\nextra:x:2000:worker\n"
    builder = ImageBuilder({"Cmd": ["sh"], "Env": ["PATH=/bin"]})
    builder.add_layer(files)
    return builder.add_layer(
        {
            "etc": (None, 0o755),
            "etc/passwd": (users, 0o644),
            "etc/group": (groups, 0o644),
            "data": (None, 0o755),
            "data/seed": (b"from the image\n", 0o644),
        }
    )


def archive(layout: Path, target: Path) -> Path:
    """Pack an OCI layout as a tar file for `docker load`."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, path.relative_to(layout), recursive=False)
    return target


def push(layout: Path, name: str, reference: str, user: str = "") -> None:
    """Copy an image of a layout into a registry on loopback; `user` is name:password."""
    subprocess.run(
        [
            "skopeo",
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            *(["--dest-creds", user] if user else []),
            f"oci:{layout}:{name}",
            f"docker://{reference}",
        ],
        check=True,
        capture_output=True,
    )
