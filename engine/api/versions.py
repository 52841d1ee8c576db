"""What older API versions expect: the request as they meant it, the answer as they read it.

Source: the Docker Engine API's version history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.core.errors import InvalidArgument
from engine.system.info import API_VERSION

if TYPE_CHECKING:
    from aiohttp import web


def version_of(request: web.Request) -> tuple[int, int]:
    """Return the version that a request's path names, the newest when it names none."""
    major, _, minor = request.match_info.get("version", API_VERSION).partition(".")
    return int(major), int(minor)


def adapt_create(version: tuple[int, int], body: dict[str, Any]) -> dict[str, Any]:
    """Return a create request in today's words."""
    host = dict(body.get("HostConfig") or {})
    for since, names in _FIELDS_SINCE:
        if version < since:
            for name in names:
                host.pop(name, None)
    if version < (1, 40):
        host["IpcMode"] = host.get("IpcMode") or "shareable"
    if version < (1, 41):
        host["CgroupnsMode"] = host.get("CgroupnsMode") or "host"
    if version < (1, 42):
        host.pop("KernelMemory", None)  # was accepted, and had lost its effect before
    health = body.get("Healthcheck")
    if health and version < (1, 44):
        body["Healthcheck"] = {
            key: value for key, value in health.items() if key != "StartInterval"
        }
    for mount in host.get("Mounts") or ():
        _adapt_mount(version, mount)
    return {**body, "HostConfig": host}


# Fields that an older engine did not read, so that an older client cannot mean them.
_FIELDS_SINCE: tuple[tuple[tuple[int, int], tuple[str, ...]], ...] = (
    ((1, 25), ("AutoRemove",)),
    ((1, 40), ("KernelMemoryTCP", "DeviceRequests")),
    ((1, 41), ("CgroupnsMode",)),
    ((1, 42), ("ConsoleSize",)),
    ((1, 43), ("Annotations",)),
)


def _adapt_mount(version: tuple[int, int], mount: dict[str, Any]) -> None:
    if version < (1, 45) and (mount.get("VolumeOptions") or {}).get("Subpath"):
        raise InvalidArgument("VolumeOptions.Subpath needs API version 1.45")
    if version < (1, 48) and mount.get("Type") == "image":
        raise InvalidArgument('mounts of type "image" need API version 1.48')
    if version < (1, 46) and (mount.get("TmpfsOptions") or {}).get("Options"):
        raise InvalidArgument("TmpfsOptions.Options needs API version 1.46")
    if mount.get("Type") != "bind" or version >= (1, 44):
        return
    options = dict(mount.get("BindOptions") or {})
    if version < (1, 40):
        options.pop("NonRecursive", None)
    if version < (1, 42):
        options.pop("CreateMountpoint", None)
    if options.get("ReadOnlyForceRecursive"):
        raise InvalidArgument("BindOptions.ReadOnlyForceRecursive needs API version 1.44")
    if mount.get("ReadOnly"):  # reached only the topmost mount then
        options["ReadOnlyNonRecursive"] = True
    mount["BindOptions"] = options


def adapt_inspect(version: tuple[int, int], document: dict[str, Any]) -> dict[str, Any]:
    """Return a container's description as a client of that version reads it."""
    if version >= (1, 44):
        return document
    # Aliases were answered with the short ID among them, addresses stood on the container itself.
    settings = document["NetworkSettings"]
    config = {**document["Config"], "MacAddress": settings.get("MacAddress") or ""}
    networks = {
        name: {**network, "Aliases": [*(network.get("Aliases") or ()), document["Id"][:12]]}
        for name, network in (settings.get("Networks") or {}).items()
    }
    return {**document, "Config": config, "NetworkSettings": {**settings, "Networks": networks}}
