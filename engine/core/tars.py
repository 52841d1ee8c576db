"""Reading tar archives that somebody else wrote, with bounds on what their headers may cost."""

from __future__ import annotations

import tarfile

LONGEST_HEADER = 1 << 20  # bytes of a name, link or set of attributes
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class BoundedEntry(tarfile.TarInfo):
    """An entry whose extension headers are not read into memory whatever their size.

    A few kilobytes of compressed zeros may claim to be a name of gigabytes.
    """

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > LONGEST_HEADER:
            raise ValueError(f"the archive has a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]
