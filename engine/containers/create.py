"""Create: judge the request, prepare the root, remember the container."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from engine.containers import options
from engine.containers.model import Container, State, new_state
from engine.containers.mounts import describe, make_mounts, plan_mounts
from engine.containers.networking import read_endpoints
from engine.containers.options import normal_ports
from engine.containers.remove import discard_container
from engine.core import clock
from engine.core.errors import Conflict, InvalidArgument, NotFound
from engine.core.ids import NAME, new_id, new_name
from engine.core.oci_platform import OciPlatform
from engine.core.trees import discard_tree

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.images.model import Image


async def create_container(
    deps: Containers, name: str | None, body: dict[str, Any], platform: str = ""
) -> tuple[Container, list[str]]:
    """Make a container and return it with warnings; `platform` is what its image must be for.

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
    if platform and not OciPlatform.parse(platform).accepts(OciPlatform.from_json(image.config)):
        own = OciPlatform.from_json(image.config)
        raise NotFound(
            f"image with reference {config['Image']} was found but its platform ({own}) does not "
            f"match the specified platform ({platform})"
        )
    try:
        return await _create(deps, name, config, host, body.get("NetworkingConfig") or {}, image)
    except NotFound as error:
        # A client takes "not found" for the image's absence and would pull it.
        raise InvalidArgument(str(error)) from error


async def _create(
    deps: Containers,
    name: str | None,
    config: dict[str, Any],
    host: dict[str, Any],
    networking: dict[str, Any],
    image: Image,
) -> tuple[Container, list[str]]:
    _inherit(config, image)
    if not (config.get("Entrypoint") or config.get("Cmd")):
        raise InvalidArgument("no command specified")
    endpoints = read_endpoints(deps, config, host, networking)
    _normalise_ports(config, host)
    warnings = options.validate(config, host, deps.runtime.group)
    if deps.settings.id_map and host["UsernsMode"] != "host":
        options.check_user_namespace(host)
    _name_others(deps, host)
    container_id = new_id()
    async with AsyncExitStack() as undo:
        chosen = _claim_name(deps, name, container_id)
        undo.callback(deps.by_name.pop, chosen, None)
        config["Hostname"] = config.get("Hostname") or _hostname(deps, host, container_id)
        undo.callback(deps.snapshots.remove, container_id)
        deps.snapshots.prepare(container_id, image.chain_id)
        directory = deps.settings.state / "containers" / container_id
        undo.callback(discard_tree, directory)
        directory.mkdir(parents=True, mode=0o710)
        plan = await asyncio.to_thread(plan_mounts, deps, config, host)
        # Its volumes are in use from now on, though nobody knows the container yet.
        deps.creating[container_id] = plan
        undo.callback(deps.creating.pop, container_id, None)
        logs = options.log_options(host).kind
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
                "State": new_state(State.REMOVING, config.get("Healthcheck")),
                "RestartCount": 0,
                "LogPath": "" if logs == "none" else str(directory / f"{container_id}-json.log"),
                "Plan": plan,
                "Endpoints": endpoints,
                "NetworkSettings": {"Bridge": "", "SandboxID": "", "Ports": {}, "Networks": {}},
            }
        )
        container.exited.set()
        if any(item.get("Anonymous") for item in plan):
            # Written down before they are made, so that a crash in between leaves none behind.
            deps.save(container)
            undo.push_async_callback(discard_container, deps, container)
            undo.callback(deps.creating.pop, container_id, None)  # or they would stay in use
        await asyncio.to_thread(make_mounts, deps, plan)
        container.document["Mounts"] = [describe(item) for item in plan if item["Shown"]]
        container.set_state(State.CREATED)
        deps.save(container)
        deps.by_id[container_id] = container
        deps.creating.pop(container_id, None)
        undo.pop_all()
    deps.publish(container, "create")
    return container, warnings


def _with_defaults(host: dict[str, Any]) -> dict[str, Any]:
    mode = host.get("NetworkMode") or "default"
    host["NetworkMode"] = "bridge" if mode == "default" else mode
    host["UTSMode"] = host.get("UTSMode") or ""
    host["PidMode"] = host.get("PidMode") or ""
    host["UsernsMode"] = host.get("UsernsMode") or ""
    host["ShmSize"] = host.get("ShmSize") or options.DEFAULT_SHM
    host["LogConfig"] = {"Type": "json-file", "Config": {}, **(host.get("LogConfig") or {})}
    host["LogConfig"]["Type"] = host["LogConfig"]["Type"] or "json-file"
    host["IpcMode"] = host.get("IpcMode") or "private"
    host["CgroupnsMode"] = host.get("CgroupnsMode") or "private"
    policy = host.get("RestartPolicy") or {}
    host["RestartPolicy"] = {
        "Name": policy.get("Name") or "no",
        "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
    }
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
    health, inherited_health = config.get("Healthcheck"), base.get("Healthcheck")
    if health and inherited_health:
        given = {key: value for key, value in health.items() if value}
        config["Healthcheck"] = {**inherited_health, **given}
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


def _name_others(deps: Containers, host: dict[str, Any]) -> None:
    """Write the IDs of other containers for the names that namespaces and links were asked by."""
    for field in ("NetworkMode", "PidMode", "IpcMode"):
        if (host.get(field) or "").startswith("container:"):
            other = deps.find(host[field].partition(":")[2])
            host[field] = f"container:{other.id}"
    for link in host.get("Links") or ():
        deps.find(link.partition(":")[0])


def _hostname(deps: Containers, host: dict[str, Any], container_id: str) -> str:
    mode = host["NetworkMode"]
    if mode.startswith("container:"):
        return str(deps.find(mode.partition(":")[2]).config["Hostname"])
    if "host" in (mode, host.get("UTSMode")):
        return os.uname().nodename
    return container_id[:12]


def _normalise_ports(config: dict[str, Any], host: dict[str, Any]) -> None:
    """Write every port with its protocol, a range as its members."""
    if config.get("ExposedPorts"):
        config["ExposedPorts"] = {key: {} for key in normal_ports(config["ExposedPorts"])}
    bindings: dict[str, Any] = {}
    for key, values in (host.get("PortBindings") or {}).items():
        for number, name in enumerate(normal_ports([key])):
            bindings[name] = [_shifted(value, number) for value in values or ()] or values
    if bindings:
        host["PortBindings"] = bindings


def _shifted(binding: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the binding of a range's member: the host's ports go along with the container's."""
    port = str(binding.get("HostPort") or "")
    first, separator, _ = port.partition("-")
    if not number or not separator or not first.isdigit():
        return binding
    return {**binding, "HostPort": str(int(first) + number)}
