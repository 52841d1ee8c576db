"""Unpack one layer into a directory, in a process of its own that sees nothing else.

Run as `python -m engine.snapshots.unpack BLOB TARGET`. Prints one JSON line: {"diff_id", "size"}
or {"error"}. The process enters TARGET by chroot before it reads the first byte of the archive,
so no name, link or trick in it can reach outside.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import stat
import sys
import tarfile
from typing import IO, Any, BinaryIO

import zstandard
from isal import igzip

from engine.core.tars import BoundedEntry
from engine.core.trees import remove_tree
from engine.kernel.process import forbid_imports

MAXIMUM_ENTRIES = 2_000_000
MAXIMUM_BYTES = 128 * 1024**3
MAXIMUM_MEMORY = 1024**3
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_PIECE = 1024 * 1024


class _Hashed(io.RawIOBase):
    """Hashes and counts what is read through it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.hash.update(data)
        self.size += len(data)
        if self.size > MAXIMUM_BYTES:
            raise ValueError("the layer is larger than any that is accepted")
        return data


def _decompressed(file: BinaryIO) -> BinaryIO:
    magic = file.read(4)
    file.seek(0)
    if magic[:2] == b"\x1f\x8b":
        stream: BinaryIO = igzip.open(file, "rb")  # type: ignore[no-untyped-call]
        return stream
    if magic == b"\x28\xb5\x2f\xfd":
        reader: Any = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return reader  # type: ignore[no-any-return]
    return file


def unpack(blob: str, target: str) -> dict[str, object]:
    """Unpack and return diff ID and unpacked size. Raises OSError, ValueError, TarError."""
    with open(blob, "rb", buffering=_PIECE) as file:
        reader = _Hashed(_decompressed(file))
        forbid_imports()
        os.chroot(target)
        os.chdir("/")
        os.umask(0)
        size = 0
        directories: list[tuple[str, int]] = []
        with tarfile.open(
            fileobj=reader,
            mode="r|",
            bufsize=_PIECE,
            errors="surrogateescape",
            tarinfo=BoundedEntry,
        ) as tar:
            for count, member in enumerate(tar):
                if count > MAXIMUM_ENTRIES:
                    raise ValueError("the layer has more entries than are accepted")
                tar.members.clear()  # type: ignore[attr-defined] # else every entry is kept
                if member.isreg() and size + member.size > MAXIMUM_BYTES:
                    raise ValueError("the layer is larger than any that is accepted")
                size += _extract(tar, member, directories)
        while reader.read(_PIECE):  # padding after the archive belongs to the digest too
            continue
        # Filling a directory changes its time, so directories get theirs when all is there.
        for path, moment in reversed(directories):
            os.utime(path, ns=(moment, moment), follow_symlinks=False)
        return {"diff_id": f"sha256:{reader.hash.hexdigest()}", "size": size}


def _extract(
    tar: tarfile.TarFile, member: tarfile.TarInfo, directories: list[tuple[str, int]]
) -> int:
    path = os.path.normpath("/" + member.name)
    parent, name = os.path.split(path)
    if path != "/" and not os.path.isdir(parent):
        os.makedirs(parent, 0o755, exist_ok=True)
    if name == _OPAQUE:
        os.setxattr(parent, "trusted.overlay.opaque", b"y")
        return 0
    if name.startswith(_WHITEOUT):
        hidden = f"{parent}/{name.removeprefix(_WHITEOUT)}"
        clear(hidden)
        os.mknod(hidden, stat.S_IFCHR, 0)
        return 0
    moment = int(member.mtime * 1_000_000_000)
    mode = stat.S_IMODE(member.mode)
    if member.isdir():
        if os.path.islink(path) or not os.path.isdir(path):
            clear(path)
            os.mkdir(path)
        directories.append((path, moment))
    else:
        clear(path)
        make_entry(tar, member, path)
    if not member.islnk():
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
        set_xattrs(path, member)
        if not member.issym():
            os.chmod(path, mode)
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
    return member.size if member.isreg() else 0


def clear(path: str) -> None:
    """Remove whatever is at a path; nothing is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        remove_tree(path)


def make_entry(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    """Make the file, link or device of one entry; raises ValueError for an unknown kind."""
    if member.isreg():
        source = tar.extractfile(member)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            if source and member.issparse():
                _write_sparse(fd, source, member)
            while source and (data := source.read(_PIECE)):
                os.write(fd, data)
        finally:
            os.close(fd)
    elif member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(os.path.normpath("/" + member.linkname), path, follow_symlinks=False)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, kind | 0o600, os.makedev(member.devmajor, member.devminor))
    elif member.isfifo():
        os.mkfifo(path, 0o600)
    else:
        raise ValueError(f"{member.name}: unknown kind of entry")


def _write_sparse(fd: int, source: IO[bytes], member: tarfile.TarInfo) -> None:
    """Write the pieces that hold data and leave holes between them."""
    pieces: list[tuple[int, int]] = getattr(member, "sparse", None) or []
    for offset, length in pieces:
        source.seek(offset)
        os.lseek(fd, offset, os.SEEK_SET)
        while length > 0 and (data := source.read(min(length, _PIECE))):
            os.write(fd, data)
            length -= len(data)
    source.seek(member.size)
    os.ftruncate(fd, member.size)


def set_xattrs(path: str, member: tarfile.TarInfo) -> None:
    """Give a file the extended attributes of its entry."""
    for key, value in member.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            name = key.removeprefix("SCHILY.xattr.")
            # Overlay's own would let a layer speak to the kernel's merge.
            if not name.startswith("trusted.overlay."):
                data = value.encode("utf-8", "surrogateescape")
                os.setxattr(path, name, data, follow_symlinks=False)


def main() -> int:
    """Run for the arguments; return the exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MAXIMUM_MEMORY, MAXIMUM_MEMORY))
    try:
        print(json.dumps(unpack(sys.argv[1], sys.argv[2])))  # noqa: T201
    except MemoryError:
        print(json.dumps({"error": "the layer takes too much memory"}))  # noqa: T201
        return 1
    except (OSError, ValueError, EOFError, tarfile.TarError, zstandard.ZstdError) as error:
        print(json.dumps({"error": str(error)}))  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
