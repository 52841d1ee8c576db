"""Create: judge the request, prepare the root, remember the container."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from engine.containers import options
from engine.containers.model import Container, new_state
from engine.core import clock
from engine.core.errors import Conflict, InvalidArgument
from engine.core.ids import NAME, new_id, new_name

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.images.model import Image


async def create_container(
    deps: Containers, name: str | None, body: dict[str, Any]
) -> tuple[Container, list[str]]:
    """Make a container and return it with warnings.

    Raises: NotFound.image · Conflict(name) · InvalidArgument(any field).
    After: on failure nothing is left of it.
    """
    config = {
        key: value for key, value in body.items() if key not in ("HostConfig", "NetworkingConfig")
    }
    host = _with_defaults(dict(body.get("HostConfig") or {}))
    if not config.get("Image"):
        raise InvalidArgument("no image specified")
    image = deps.images.get(config["Image"])
    _inherit(config, image)
    if not (config.get("Entrypoint") or config.get("Cmd")):
        raise InvalidArgument("no command specified")
    warnings = options.validate(config, host)
    container_id = new_id()
    async with AsyncExitStack() as undo:
        chosen = _claim_name(deps, name, container_id)
        undo.callback(deps.by_name.pop, chosen, None)
        config["Hostname"] = config.get("Hostname") or (
            os.uname().nodename if host["NetworkMode"] == "host" else container_id[:12]
        )
        undo.callback(deps.snapshots.remove, container_id)
        deps.snapshots.prepare(container_id, image.chain_id)
        directory = deps.settings.state / "containers" / container_id
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o710)
        mounts = await asyncio.to_thread(_make_mounts, deps, config, host)
        logs = options.log_options(host)[0]
        entrypoint = config.get("Entrypoint") or []
        command = [*entrypoint, *(config.get("Cmd") or [])]
        container = Container(
            {
                "Id": container_id,
                "Name": chosen,
                "Created": clock.stamp(),
                "Image": image.id,
                "Path": command[0],
                "Args": command[1:],
                "Config": config,
                "HostConfig": host,
                "State": new_state(),
                "RestartCount": 0,
                "LogPath": str(directory / f"{container_id}-json.log") if logs else "",
                "Mounts": mounts,
                "NetworkSettings": _no_network(host["NetworkMode"]),
            }
        )
        deps.save(container)
        deps.by_id[container_id] = container
        undo.pop_all()
    deps.publish(container, "create")
    return container, warnings


def _with_defaults(host: dict[str, Any]) -> dict[str, Any]:
    mode = host.get("NetworkMode") or "default"
    host["NetworkMode"] = "bridge" if mode == "default" else mode
    host["ShmSize"] = host.get("ShmSize") or options.DEFAULT_SHM
    host["LogConfig"] = {"Type": "json-file", "Config": {}, **(host.get("LogConfig") or {})}
    host["LogConfig"]["Type"] = host["LogConfig"]["Type"] or "json-file"
    host["IpcMode"] = host.get("IpcMode") or "private"
    host["CgroupnsMode"] = host.get("CgroupnsMode") or "private"
    host["RestartPolicy"] = host.get("RestartPolicy") or {"Name": "no", "MaximumRetryCount": 0}
    host["RestartPolicy"]["Name"] = host["RestartPolicy"].get("Name") or "no"
    # As much swap again as memory, when nothing is said; told, since `update` compares with it.
    host["MemorySwap"] = host.get("MemorySwap") or 2 * (host.get("Memory") or 0)
    host["Runtime"] = host.get("Runtime") or "hythe"
    if host.get("MaskedPaths") is None:
        host["MaskedPaths"] = [] if host.get("Privileged") else list(options.MASKED_PATHS)
    if host.get("ReadonlyPaths") is None:
        host["ReadonlyPaths"] = [] if host.get("Privileged") else list(options.READONLY_PATHS)
    return host


def _inherit(config: dict[str, Any], image: Image) -> None:
    """Fill in from the image what the request left open, as the Docker Engine merges them."""
    base = image.config.get("config") or {}
    # A new entrypoint makes the image's command meaningless, so it is not inherited then.
    if not config.get("Entrypoint"):
        if config.get("Entrypoint") is None:
            config["Entrypoint"] = base.get("Entrypoint")
        else:
            config["Entrypoint"] = None
        if not config.get("Cmd"):
            config["Cmd"] = base.get("Cmd")
    if config.get("Entrypoint") == [""]:  # `--entrypoint ""` resets the image's
        config["Entrypoint"] = None
    named = {item.split("=", 1)[0] for item in config.get("Env") or ()}
    inherited = [item for item in base.get("Env") or () if item.split("=", 1)[0] not in named]
    # A bare name asks for the client's value, which the CLI has filled in: unset means removed.
    config["Env"] = inherited + [item for item in config.get("Env") or () if "=" in item]
    config["Labels"] = {**(base.get("Labels") or {}), **(config.get("Labels") or {})}
    for key in ("User", "WorkingDir", "StopSignal", "Shell", "Healthcheck"):
        if not config.get(key) and base.get(key):
            config[key] = base[key]
    for key in ("ExposedPorts", "Volumes"):
        merged = {**(base.get(key) or {}), **(config.get(key) or {})}
        config[key] = merged or None


def _claim_name(deps: Containers, name: str | None, container_id: str) -> str:
    if name:
        name = name.removeprefix("/")
        if not NAME.fullmatch(name):
            raise InvalidArgument(
                f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
        deps.claim_name(name, container_id)
        return name
    for attempt in range(1000):
        chosen = new_name() if attempt < 100 else f"{new_name()}{attempt}"
        if chosen not in deps.by_name:
            deps.claim_name(chosen, container_id)
            return chosen
    raise Conflict("no free name was found")


def _make_mounts(
    deps: Containers, config: dict[str, Any], host: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return Docker's Mounts, with volumes made and missing bind sources created."""
    result = []
    for item in options.mounts_wanted(config, host):
        source, name, driver = item["Source"], "", ""
        if item["Type"] == "volume":
            volume = deps.volumes.ensure(source or None)
            source, name, driver = volume.mountpoint, volume.name, "local"
        elif item["Type"] == "bind" and not os.path.exists(source):
            if not item.get("Create"):
                raise InvalidArgument(f"bind source path does not exist: {source}")
            os.makedirs(source)
        mount = {
            "Type": item["Type"],
            "Source": source,
            "Destination": item["Target"],
            "Mode": ",".join(item["Options"]),
            "RW": not item["ReadOnly"],
            "Propagation": "rprivate" if item["Type"] == "bind" else "",
        }
        if name:
            mount |= {"Name": name, "Driver": driver, "Anonymous": not item["Source"]}
        result.append(mount)
    return result


def _no_network(mode: str) -> dict[str, Any]:
    return {"Bridge": "", "SandboxID": "", "Ports": {}, "Networks": {mode: {"IPAddress": ""}}}
