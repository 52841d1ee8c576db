"""nftables through libnftables, inside this process: one call per change, each one atomic."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SO_RCVBUFFORCE = 33


class Nftables:
    """A context of libnftables. Not for two threads at once. Source: libnftables(3)."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libnftables.so.1")
        except OSError as error:
            raise OSError(
                errno.ENOENT, "libnftables.so.1 is missing (package libnftables1)"
            ) from error
        library = self._library
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_free.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_buffer_error.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_buffer_output.argtypes = (ctypes.c_void_p,)
        library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        library.nft_ctx_get_error_buffer.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        library.nft_ctx_get_output_buffer.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self._context = library.nft_ctx_new(0)
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_buffer_output(self._context)

    def run(self, commands: str) -> str:
        """Run commands in nft's own language as one transaction and return what they print.

        Raises: OSError(EINVAL, what nft says); then nothing was changed.
        """
        code = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        message = self._library.nft_ctx_get_error_buffer(self._context).decode()
        output: str = self._library.nft_ctx_get_output_buffer(self._context).decode()
        if code != 0:
            raise OSError(errno.EINVAL, f"nftables: {message.strip()}")
        return output

    def close(self) -> None:
        """Free the context."""
        self._library.nft_ctx_free(self._context)


NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7
_NEWGEN, _GETGEN = 10 << 8 | 15, 10 << 8 | 16
_DELTABLE, _DELCHAIN, _DELRULE, _DELSETELEM, _DELSET = (10 << 8 | n for n in (2, 5, 8, 14, 11))
_TABLE_ATTRIBUTE = 1  # NFTA_TABLE_NAME, NFTA_CHAIN_TABLE … are all the first
_GEN_ID = 1
NLM_F_REQUEST = 1


class Generations:
    """Tells when somebody else takes something out of one table.

    Every transaction of nf_tables makes a new generation and tells its number last, after what it
    removed. Those made inside `own` are ours. Source: linux/netfilter/nf_tables.h.
    """

    def __init__(self, table: str) -> None:
        self._table = table.encode() + b"\0"
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._events = socket.socket(socket.AF_NETLINK, flags, NETLINK_NETFILTER)
        self._events.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))
        self._events.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        self._asking = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        self._asking.bind((0, 0))
        self._own: set[int] = set()
        self._ambiguous = False
        self._removed = False

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._events.fileno()

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """Mark the one transaction made inside as ours."""
        before = self._current()
        try:
            yield
        finally:
            after = self._current()
            if after == before + 1:
                self._own.add(after)
            elif after != before:
                # Somebody else's came in between: which of them was ours cannot be told.
                self._ambiguous = True

    def _current(self) -> int:
        head = struct.pack("=IHHIIBBH", 20, _GETGEN, NLM_F_REQUEST, 0, 0, 0, 0, 0)
        self._asking.send(head)
        return _generation(self._asking.recv(65536))

    def was_damaged(self) -> bool:
        """Read every event that is there; tell whether a foreign one took something away.

        Not while a transaction of one's own is under way: its number is not known yet.
        """
        damaged = self._ambiguous
        self._ambiguous = False
        while True:
            try:
                data = self._events.recv(1 << 20)
            except BlockingIOError:
                self._own.clear()
                return damaged
            except OSError:  # ENOBUFS: events were lost
                damaged = True
                continue
            offset = 0
            while offset + 20 <= len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                message = data[offset : offset + length]
                offset += (length + 3) & ~3
                if kind == _NEWGEN:
                    number = _generation(message)
                    damaged |= self._removed and number not in self._own
                    self._removed = False
                elif kind in (_DELTABLE, _DELCHAIN, _DELRULE, _DELSETELEM, _DELSET):
                    (size, attribute) = struct.unpack_from("=HH", message, 20)
                    named = message[24 : 20 + size]
                    self._removed |= attribute == _TABLE_ATTRIBUTE and named == self._table

    def close(self) -> None:
        """Listen no longer."""
        self._events.close()
        self._asking.close()


def _generation(message: bytes) -> int:
    offset = 20
    while offset + 8 <= len(message):
        size, attribute = struct.unpack_from("=HH", message, offset)
        if attribute == _GEN_ID:
            return int(struct.unpack_from("!I", message, offset + 4)[0])
        offset += max(4, (size + 3) & ~3)
    return 0
