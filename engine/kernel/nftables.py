"""nftables through libnftables, inside this process: one call per change, each one atomic."""

from __future__ import annotations

import ctypes
import errno


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
