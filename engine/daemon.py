"""The daemon: builds every service once, finds what an earlier one left, and serves the API."""

from __future__ import annotations

import asyncio
import fcntl
import grp
import logging
import os
import signal
import stat
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from engine.api.app import make_app
from engine.api.keys import Services
from engine.containers.deps import Containers
from engine.containers.model import Container, State
from engine.containers.mounts import plan_of
from engine.containers.options import DEFAULT_CAPABILITIES
from engine.containers.sampler import Sampler
from engine.containers.start import adopt_containers, settle
from engine.core.errors import Conflict
from engine.core.events import EventBus
from engine.core.trees import discard_tree
from engine.images.images import Images
from engine.networks.networks import Networks
from engine.networks.sandboxes import Sandboxes
from engine.runtime.runtime import Runtime
from engine.snapshots.overlay import Snapshots
from engine.store.containers import ContainerTable
from engine.store.database import Database
from engine.volumes.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import Settings

log = logging.getLogger(__name__)
GROUP = "hythe"


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises: Conflict(another daemon has this data directory)."""
    _make_directories(settings)
    with _only_daemon(settings):
        database = Database(settings.database)
        services = _build(settings, database)
        await _open(settings, services)
        # A verb that was begun is finished, whether or not its client waits for it.
        runner = web.AppRunner(
            make_app(services),
            handler_cancellation=False,
            access_log=None,
            shutdown_timeout=1.0,  # streams that follow logs or events never end by themselves
        )
        await runner.setup()
        await _listen(runner, settings.socket)
        log.info("listening on %s", settings.socket)
        await _until_told_to_stop()
        await runner.cleanup()
        await services.sandboxes.close()
        await services.runtime.close()
        database.close()
        settings.socket.unlink(missing_ok=True)


def _make_directories(settings: Settings) -> None:
    # A container's setuid programs would be anybody's on the machine (CVE-2021-41091).
    for directory, mode in (
        (settings.root, 0o711),
        (settings.state, 0o700),
        (settings.run, 0o711),
        (settings.state / "containers", 0o711),
    ):
        directory.mkdir(parents=True, exist_ok=True)
        if directory is not settings.root:
            directory.chmod(mode)


@contextmanager
def _only_daemon(settings: Settings) -> Iterator[None]:
    fd = os.open(settings.state / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another engine is running on {settings.root}") from None
        yield
    finally:
        os.close(fd)


def _build(settings: Settings, database: Database) -> Services:
    events = EventBus()
    snapshots = Snapshots(settings, database)
    images = Images(settings, database, events, snapshots)
    networks = Networks(settings, database, events)
    sandboxes = Sandboxes(settings, database, networks, events)
    runtime = Runtime(settings, [DEFAULT_CAPABILITIES])
    volumes = Volumes(settings, database, events, runtime.scratch)
    containers = Containers(
        settings,
        events,
        ContainerTable(database),
        images,
        snapshots,
        networks,
        sandboxes,
        volumes,
        runtime,
    )
    images.users = lambda image_id: [
        (item.id, item.is_running)
        for item in list(containers.by_id.values())
        if item.document["Image"] == image_id
    ]
    volumes.users = partial(_users_of_volume, containers)
    sampler = Sampler(containers)
    return Services(
        settings, events, images, networks, sandboxes, volumes, runtime, containers, sampler
    )


def _users_of_volume(containers: Containers, name: str) -> list[str]:
    """Return the IDs of the containers that use a volume; called from any thread."""
    plans = [(key, item.document["Plan"]) for key, item in list(containers.by_id.items())]
    plans += list(containers.creating.items())
    return [
        key
        for key, items in plans
        if any(plan["Type"] == "volume" and plan.get("Name") == name for plan in items)
    ]


async def _open(settings: Settings, services: Services) -> None:
    """Bring everything up in an order in which what ran before is found before it is needed."""
    containers = services.containers
    await services.runtime.open()
    for document in containers.table.all():
        if "Plan" not in document:
            document["Plan"] = plan_of(document)
        container = Container(document)
        containers.by_id[container.id] = container
        containers.by_name[container.name] = container.id
        if not container.is_running:
            container.exited.set()
    await asyncio.to_thread(services.images.open)
    await asyncio.to_thread(containers.snapshots.open, set(containers.by_id))
    running = await adopt_containers(containers)
    await services.sandboxes.open(running)
    used: dict[str, set[str]] = {}
    for container_id in running:
        for plan in containers.by_id[container_id].document["Plan"]:
            if plan["Type"] == "volume":
                used.setdefault(plan["Name"], set()).add(container_id)
    await asyncio.to_thread(services.volumes.open, used)
    await settle(containers)
    services.runtime.sweep(containers.by_id)
    _sweep_directories(settings, containers)


def _sweep_directories(settings: Settings, containers: Containers) -> None:
    """Remove the directories of containers that a crash left half-created or half-removed."""
    for directory in (settings.state / "containers").iterdir():
        if directory.name not in containers.by_id:
            discard_tree(directory)
    for container in containers.by_id.values():
        if container.state is State.CREATED:
            (settings.state / "containers" / container.id).mkdir(exist_ok=True)


async def _listen(runner: web.AppRunner, path: Path) -> None:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()  # of a daemon that was killed: the lock says that none lives
    old = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(old)
    try:
        os.chown(path, 0, grp.getgrnam(GROUP).gr_gid)
    except KeyError:
        log.warning("no group %s: the socket is for root alone", GROUP)
    path.chmod(0o660)


async def _until_told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
