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
    if version < (1, 25):
        host["AutoRemove"] = False
    if version < (1, 40):
        host["IpcMode"] = host.get("IpcMode") or "shareable"
    if version < (1, 41):
        host["CgroupnsMode"] = host.get("CgroupnsMode") or "host"
        host.pop("Annotations", None)
    if version < (1, 42):
        host.pop("KernelMemory", None)  # was accepted, and had lost its effect before
    if version < (1, 44):
        health = body.get("Healthcheck")
        if health:
            body["Healthcheck"] = {
                key: value for key, value in health.items() if key != "StartInterval"
            }
        for mount in host.get("Mounts") or ():
            if mount.get("Type") == "bind" and mount.get("ReadOnly"):
                options = dict(mount.get("BindOptions") or {})
                options["ReadOnlyNonRecursive"] = True
                mount["BindOptions"] = options
    for mount in host.get("Mounts") or ():
        if version < (1, 45) and (mount.get("VolumeOptions") or {}).get("Subpath"):
            raise InvalidArgument("VolumeOptions.Subpath needs API version 1.45")
        if version < (1, 48) and mount.get("Type") == "image":
            raise InvalidArgument('mounts of type "image" need API version 1.48')
    return {**body, "HostConfig": host}


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
