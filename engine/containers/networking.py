"""Which networks a container is to be on, and the verbs that change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.containers import links, options
from engine.containers.model import State
from engine.core.errors import Conflict, Forbidden, InvalidArgument, NotFound
from engine.networks.model import EndpointWish, NetworkRequest
from engine.networks.settings import unplugged

if TYPE_CHECKING:
    from engine.containers.deps import Containers
    from engine.containers.model import Container
    from engine.networks.model import Network

_SHOWN = ("IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority", "MacAddress")


def is_shared(mode: str) -> bool:
    """Tell whether a network mode gives a container no network of its own."""
    return mode in ("host", "none") or mode.startswith("container:")


def read_endpoints(
    deps: Containers, config: dict[str, Any], host: dict[str, Any], networking: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return, by network name, how a new container wants to be on its networks.

    Judges NetworkingConfig, and takes a hardware address from where older clients put it.
    Raises: InvalidArgument · NotFound(network).
    """
    if config.get("NetworkDisabled"):
        host["NetworkMode"] = "none"
    mode = str(host["NetworkMode"])
    main = _name_of(deps, mode)
    endpoints: dict[str, dict[str, Any]] = {} if is_shared(mode) else {main: {}}
    for name, given in (networking.get("EndpointsConfig") or {}).items():
        known = mode if name in (mode, "default") else name
        if is_shared(mode):
            if known != mode:
                raise InvalidArgument(
                    "conflicting options: a container that shares a network, or has none, cannot "
                    f"be connected to {name}"
                )
            continue
        network_name = main if known == mode else deps.networks.get(known).name
        endpoints[network_name] = endpoint_config(given or {})
    if is_shared(mode):
        return endpoints
    mac = endpoints[main].get("MacAddress") or ""
    given_mac = str(config.get("MacAddress") or mac)
    if mac and given_mac.replace("-", ":").lower() != mac:
        raise InvalidArgument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the "
            "main network, or should be left empty"
        )
    if mac := mac or config.get("MacAddress") or "":
        options.check_mac(mac)
        endpoints[main]["MacAddress"] = mac.replace("-", ":").lower()
    _check_default(endpoints.get("bridge"))
    return endpoints


def _name_of(deps: Containers, mode: str) -> str:
    """Return the name of the network that a mode means, which need not exist yet."""
    if is_shared(mode):
        return mode
    try:
        return deps.networks.get(mode).name
    except NotFound:
        return mode


def endpoint_config(given: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of an EndpointSettings. Raises: InvalidArgument."""
    config = {key: given[key] for key in _SHOWN if given.get(key)}
    if (config.get("IPAMConfig") or {}).get("LinkLocalIPs"):
        raise InvalidArgument("link-local addresses are not supported by this engine")
    if mac := config.get("MacAddress"):
        options.check_mac(mac)
        config["MacAddress"] = mac.replace("-", ":").lower()
    for key in config.get("DriverOpts") or {}:
        if key not in options.ENDPOINT_OPTIONS:
            raise InvalidArgument(f"unknown driver option of an endpoint: {key}")
    return config


def _check_default(config: dict[str, Any] | None) -> None:
    addresses = (config or {}).get("IPAMConfig") or {}
    faults = []
    if addresses.get("IPv4Address") or addresses.get("IPv6Address"):
        faults.append("user specified IP address is supported on user defined networks only")
    if (config or {}).get("Aliases"):
        faults.append(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    if faults:
        raise InvalidArgument(
            "invalid config for network bridge: invalid endpoint settings:\n" + "\n".join(faults)
        )


def endpoints_of(container: Container) -> dict[str, dict[str, Any]]:
    """Return, by network name, how a container wants to be on its networks."""
    document = container.document
    if "Endpoints" not in document:  # made by an engine that knew one network
        mode = container.host_config["NetworkMode"]
        mac = container.config.get("MacAddress")
        config = {"MacAddress": mac} if mac else {}
        document["Endpoints"] = {} if is_shared(mode) else {mode: config}
    found: dict[str, dict[str, Any]] = document["Endpoints"]
    return found


def request_of(deps: Containers, container: Container) -> NetworkRequest:
    """Return what a container asks of networking at its start."""
    config, host = container.config, container.host_config
    mode = host["NetworkMode"]
    linked = tuple(f"{name}:{address}" for name, address in links.hosts(deps, container))
    return NetworkRequest(
        container_id=container.id,
        name=container.name,
        hostname=config["Hostname"],
        domainname=config.get("Domainname") or "",
        mode=mode,
        endpoints=tuple(
            wish_of(deps, container, name, given) for name, given in endpoints_of(container).items()
        ),
        bindings=() if is_shared(mode) else options.port_bindings(config, host),
        exposed=tuple(config.get("ExposedPorts") or ()),
        dns=tuple(host.get("Dns") or ()),
        dns_search=tuple(host.get("DnsSearch") or ()),
        dns_options=tuple(host.get("DnsOptions") or ()),
        extra_hosts=tuple(host.get("ExtraHosts") or ()),
        linked_hosts=linked,
    )


def wish_of(
    deps: Containers, container: Container, name: str, given: dict[str, Any]
) -> EndpointWish:
    """Return how a container wants to be on one network. Raises: NotFound(linked container)."""
    addresses = given.get("IPAMConfig") or {}
    wanted = list(given.get("Links") or ())
    if name == container.host_config["NetworkMode"] != "bridge":
        wanted += container.host_config.get("Links") or ()
    linked = {}
    for text in wanted:
        reference, _, alias = text.partition(":")
        other = deps.find(reference)
        linked[(alias.rsplit("/", 1)[-1] or other.name).lower()] = other.id
    return EndpointWish(
        network=name,
        ipv4=addresses.get("IPv4Address") or "",
        ipv6=addresses.get("IPv6Address") or "",
        mac=given.get("MacAddress") or "",
        aliases=tuple(given.get("Aliases") or ()),
        links=linked,
        priority=int(given.get("GwPriority") or 0),
        config=given,
    )


def settings_of(deps: Containers, container: Container) -> dict[str, Any]:
    """Return Docker's NetworkSettings of a container, as it is now."""
    settings: dict[str, Any] = container.document["NetworkSettings"]
    if container.is_running:
        return settings
    settings = dict(settings)
    blank = {key: value for key, value in unplugged("", {}).items() if key in settings}
    settings |= {**blank, "Ports": {}, "SandboxID": "", "SandboxKey": ""}
    mode = container.host_config["NetworkMode"]
    shown = endpoints_of(container) or ({mode: {}} if mode in ("host", "none") else {})
    settings["Networks"] = {
        name: unplugged(_id_of(deps, name), given) for name, given in shown.items()
    }
    return settings


def _refresh(deps: Containers, container: Container) -> None:
    if sandbox := deps.sandboxes.get(container.id):
        container.document["NetworkSettings"] = deps.sandboxes.settings(sandbox)


def rename_on_networks(deps: Containers, container: Container) -> None:
    """Let a running container be found by its new name; the caller saves it."""
    deps.sandboxes.rename(container.id, container.name)
    _refresh(deps, container)


def _id_of(deps: Containers, name: str) -> str:
    try:
        return deps.networks.get(name).id
    except NotFound:
        return ""


def publish_network(deps: Containers, action: str, network: Network, container: Container) -> None:
    """Tell that a container was connected to a network, or disconnected."""
    attributes = {"container": container.id, "name": network.name, "type": network.driver}
    deps.events.publish("network", action, network.id, **attributes)


async def connect_container(
    deps: Containers, container: Container, network: Network, given: dict[str, Any]
) -> None:
    """Put a container on one more network, now when it runs, else at its next start.

    Raises: Forbidden(already on it) · Conflict(its network is somebody else's) · InvalidArgument.
    """
    config = endpoint_config(given)
    mode = container.host_config["NetworkMode"]
    _check_own(mode)
    if network.driver in ("host", "null"):
        raise Forbidden(
            f"cannot connect container to {network.name} network - container must be created in "
            f"{network.name} network mode"
        )
    async with container.lock:
        if container.state is State.REMOVING:
            raise Conflict(f"container {container.id} is marked for removal")
        endpoints = endpoints_of(container)
        if network.name in endpoints:
            raise Forbidden(
                f"endpoint with name {container.name} already exists in network {network.name}"
            )
        if network.id == deps.networks.get("bridge").id:
            _check_default(config)
        wish = wish_of(deps, container, network.name, config)
        if container.running:
            await deps.sandboxes.connect(container.running, wish)
            _refresh(deps, container)
        else:
            deps.sandboxes.check(network, wish)
        endpoints[network.name] = config
        deps.save(container)
    publish_network(deps, "connect", network, container)


async def disconnect_container(deps: Containers, container: Container, network: Network) -> None:
    """Take a container off a network. Raises: Forbidden(not on it) · Conflict(not its own)."""
    mode = container.host_config["NetworkMode"]
    if mode == "host" and network.driver == "host":
        raise Conflict(
            "container cannot be disconnected from host network or connected to host network"
        )
    async with container.lock:
        endpoints = endpoints_of(container)
        if network.name not in endpoints:
            raise Forbidden(f"container {container.id} is not connected to network {network.name}")
        if container.running:
            sandbox = deps.sandboxes.get(container.id)
            if sandbox and network.id in sandbox.endpoints:
                await deps.sandboxes.disconnect(container.running, network)
                _refresh(deps, container)
        del endpoints[network.name]
        deps.save(container)
    publish_network(deps, "disconnect", network, container)


def _check_own(mode: str) -> None:
    if mode == "host":
        raise Conflict(
            "container cannot be disconnected from host network or connected to host network"
        )
    if mode.startswith("container:"):
        raise Conflict(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    if mode == "none":
        raise Conflict(
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode"
        )
