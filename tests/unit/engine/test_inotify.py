"""A watch tells of growth, and of another file taking the name."""

from __future__ import annotations

import asyncio

from engine.kernel.inotify import Watch


async def told(watch):
    """Wait for the watch, but not for ever."""
    await asyncio.wait_for(watch.wait(), 10)
    watch.clear()


async def test_growth_and_rotation_are_told(tmp_path):
    """Appending wakes, so does the new file after a rename, and then its growth."""
    path = tmp_path / "json.log"
    path.write_text("one\n")
    with Watch(str(path)) as watch:
        with path.open("a") as file:
            file.write("two\n")
        await told(watch)
        path.rename(tmp_path / "json.log.1")
        await told(watch)
        path.write_text("")
        await told(watch)
        watch.add(str(path))
        path.write_text("three\n")
        await told(watch)
