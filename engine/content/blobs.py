"""The blob store: immutable files named by their digest.

A blob appears under its name only when all its bytes were seen to have that digest; until then
it is a file in `ingest`, which start-up empties.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.digest import hex_of, parse_digest
from engine.core.errors import DataLoss, NotFound
from engine.core.trees import discard_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import BinaryIO, Self

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Ingest:
    """A blob being written: hashed as it grows, named at the end.

    Not safe for two threads at once; write() and commit() may run on any one thread at a time.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self.path = content.ingest / uuid.uuid4().hex
        self._file: BinaryIO = self.path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[written:]
        self.size += len(data)

    def restart(self) -> None:
        """Forget every byte written so far."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def digest(self) -> str:
        """Return the digest of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def commit(self, expected: str | None = None) -> str:
        """Give the blob its name and return it.

        Raises: DataLoss(the bytes are not what `expected` names); then nothing is stored.
        """
        digest = self.digest()
        self._file.close()
        if expected is not None and digest != expected:
            self.path.unlink()
            raise DataLoss(
                f"filesystem layer verification failed for digest {expected}: got {digest}"
            )
        self.path.chmod(FILE_MODE)
        self.path.rename(self._content.path(digest))
        return digest

    def abandon(self) -> None:
        """Remove what was written, when it was not committed."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Return the open ingest."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave no partial file behind."""
        self.abandon()


class Content:
    """Blobs below one directory.

    Shape: <root>/blobs/sha256/<hex> whole and verified; <root>/ingest/<random> being written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._blobs = root / "blobs" / "sha256"
        self.ingest = root / "ingest"

    def open(self) -> None:
        """Make the directories and drop what an earlier run left half-written."""
        discard_tree(self.ingest)
        self._blobs.mkdir(parents=True, exist_ok=True)
        self.ingest.mkdir()
        for directory in (self._root, self._root / "blobs", self._blobs, self.ingest):
            directory.chmod(DIRECTORY_MODE)

    def path(self, digest: str) -> Path:
        """Return where the blob is, or would be."""
        return self._blobs / hex_of(parse_digest(digest))

    def has(self, digest: str) -> bool:
        """Tell whether the blob is stored."""
        return self.path(digest).exists()

    def size(self, digest: str) -> int:
        """Return the blob's length. Raises: NotFound."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError as error:
            raise NotFound(f"content {digest} not found") from error

    def read(self, digest: str) -> bytes:
        """Return a small blob whole. Raises: NotFound."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"content {digest} not found") from error

    def write(self) -> Ingest:
        """Begin a new blob; use it in a `with` statement."""
        return Ingest(self)

    def put(self, data: bytes) -> str:
        """Store a small blob and return its digest."""
        with self.write() as ingest:
            ingest.write(data)
            return ingest.commit()

    def adopt(self, path: Path) -> tuple[str, int]:
        """Store a copy-free blob from a file on the same file system: hash it, then link it in.

        After: the file keeps its own name too. Returns digest and size.
        """
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size = os.fstat(file.fileno()).st_size
        if not self.has(digest):
            temporary = self.ingest / uuid.uuid4().hex
            os.link(path, temporary, follow_symlinks=False)
            temporary.chmod(FILE_MODE)
            temporary.rename(self.path(digest))
        return digest, size

    def sweep(self, keep: Iterable[str], older_than: float = 0) -> int:
        """Delete blobs that are not in `keep` and were stored more than `older_than` seconds ago.

        Returns the bytes freed.
        """
        wanted = {hex_of(digest) for digest in keep}
        newest = time.time() - older_than
        freed = 0
        for entry in os.scandir(self._blobs):
            if entry.name in wanted:
                continue
            status = entry.stat()
            if status.st_mtime <= newest:
                os.unlink(entry.path)
                freed += status.st_size
        return freed
