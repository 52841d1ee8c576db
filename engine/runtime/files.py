"""Trees of containers and volumes, in and out, each by a helper process (`engine.runtime.tree`)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.core.errors import EngineError, Forbidden, Internal, InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE = 1 << 18
TAKES_INPUT = ("put", "write")


class Tree:
    """A helper process at work on a tree; `owner` is how errors name whose it is."""

    def __init__(self, process: asyncio.subprocess.Process, owner: str) -> None:
        self._process = process
        self._owner = owner

    @property
    def _output(self) -> asyncio.StreamReader:
        if self._process.stdout is None:
            raise Internal("the helper has no output")
        return self._process.stdout

    async def answer(self) -> dict[str, Any]:
        """Return the helper's first line. Raises: NotFound · InvalidArgument · Forbidden."""
        line = await self._output.readline()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise Internal("reading the files failed") from None
        if "error" in answer:
            raise self._error(answer)
        return answer

    def _error(self, answer: dict[str, Any]) -> EngineError:
        text = str(answer["error"])
        match answer["kind"]:
            case "not_found":
                return NotFound(f"Could not find the file {text} in {self._owner}")
            case "invalid":
                return InvalidArgument(text)
            case "forbidden":
                return Forbidden(text)
            case _:
                return Internal(text)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the tar stream. Raises: Internal(it was cut off)."""
        while data := await self._output.read(PIECE):
            yield data
        if await self._process.wait() != 0:
            raise Internal("the archive could not be read to its end")

    async def rest(self) -> Any:
        """Return the JSON that follows the first line."""
        return json.loads(b"".join([data async for data in self.pieces()]))

    async def feed(self, source: AsyncIterator[bytes]) -> None:
        """Send a tar stream in and wait until it is unpacked."""
        target = self._process.stdin
        if target is None:
            raise Internal("the helper has no input")
        try:
            async for data in source:
                try:
                    target.write(data)
                    await target.drain()
                except (BrokenPipeError, ConnectionResetError):
                    break  # it has refused already, and says why
        except BaseException:
            # A client that goes away has not sent all: the end of input would say that it has.
            self._process.terminate()
            await self._process.wait()
            raise
        target.close()
        await self.answer()


def run_to_end(request: dict[str, Any]) -> None:
    """Run the helper for what gives no stream, and wait. Raises: Internal(what it says)."""
    command = [sys.executable, "-m", "engine.runtime.tree", json.dumps(request)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise Internal("the helper for files failed") from None
    if "error" in answer:
        raise Internal(str(answer["error"]))


@asynccontextmanager
async def run_tree(request: dict[str, Any], owner: str) -> AsyncIterator[Tree]:
    """Start the helper; it never outlives the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.runtime.tree",
        json.dumps(request),
        stdin=asyncio.subprocess.PIPE
        if request["op"] in TAKES_INPUT
        else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Tree(process, owner)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
