"""Layers become snapshots: each is unpacked by a process of its own, several at once."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from engine.core.digest import chain_ids
from engine.core.errors import DataLoss, Internal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.images.images import Images

# As many as there are cores would starve the daemon of a small machine.
_unpackers = asyncio.Semaphore(2)


async def unpack_layer(images: Images, blob: Path, diff_ids: list[str], index: int) -> None:
    """Make layer `index` of an image a committed snapshot.

    Raises: DataLoss(the unpacked bytes are not what the config says) · Internal(not a tar, disk
    full); then nothing of it is left.
    """
    snapshots = images.snapshots
    chain = chain_ids(diff_ids)
    parent = chain[index - 1] if index else None
    path = await asyncio.to_thread(snapshots.new_layer)
    try:
        async with _unpackers:
            result = await _run(str(blob), str(path / "fs"))
        if result.get("diff_id") != diff_ids[index]:
            raise DataLoss(
                f"filesystem layer verification failed for digest {diff_ids[index]}: unpacked "
                f"{result.get('diff_id')}"
            )
        await asyncio.to_thread(
            snapshots.commit, path, chain[index], parent, int(str(result["size"]))
        )
    except BaseException:
        await asyncio.shield(asyncio.to_thread(snapshots.abandon, path))
        raise


async def _run(blob: str, target: str) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "engine.snapshots.unpack",
        blob,
        target,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    try:
        result: dict[str, object] = json.loads(output)
    except ValueError:
        raise Internal(f"unpacking a layer failed with status {process.returncode}") from None
    if "error" in result:
        raise Internal(f"failed to register layer: {result['error']}")
    return result


async def unpack_all(
    images: Images,
    blobs: list[Path],
    diff_ids: list[str],
    done: Callable[[int], Awaitable[None]],
) -> None:
    """Unpack the layers of a local archive, those not here yet, in parallel."""
    chain = chain_ids(diff_ids)

    async def one(index: int) -> None:
        if not images.snapshots.has(chain[index]):
            await unpack_layer(images, blobs[index], diff_ids, index)
        await done(index)

    async with asyncio.TaskGroup() as group:
        for index in range(len(diff_ids)):
            group.create_task(one(index))
