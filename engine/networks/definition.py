"""What a client may ask of a new network: judged, and completed."""

from __future__ import annotations

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Any

from engine.core import clock
from engine.core.errors import Forbidden, InvalidArgument, NotFound, Unavailable, Unsupported
from engine.core.ids import new_id
from engine.kernel.netlink import MACVLAN_MODES
from engine.networks.model import (
    BRIDGE_NAME,
    DRIVER_MTU,
    ENABLE_ICC,
    HOST_BINDING,
    INTERFACE_PREFIX,
    MASQUERADE,
    PREDEFINED,
    Network,
    Subnet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_DEVICE = re.compile(r"[a-zA-Z0-9_.:-]{1,15}")
_SWITCHES = (ENABLE_ICC, MASQUERADE)
_IGNORED = "com.docker.network.bridge.default_bridge"
_GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
_BRIDGE_OPTIONS = frozenset((BRIDGE_NAME, HOST_BINDING, _IGNORED, *_SWITCHES, *_GATEWAY_MODES))


def define(body: dict[str, Any], find: Callable[[str], Network]) -> Network:
    """Return the network that a create request asks for; subnets may still be missing.

    `find` returns a network by its name. Raises: InvalidArgument · Forbidden · NotFound(driver).
    """
    name = body.get("Name") or ""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"invalid network name {name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    if name in PREDEFINED or name == "default":
        raise Forbidden(f"operation is not permitted on predefined {name} network")
    if body.get("Ingress"):
        raise Unavailable("this node is not a swarm manager: it has no ingress network")
    if body.get("Scope") not in (None, "", "local"):
        raise InvalidArgument(f"network scope {body['Scope']!r} needs a swarm")
    ipam = body.get("IPAM") or {}
    if ipam.get("Driver") not in (None, "", "default"):
        raise NotFound(f'could not find IPAM driver: plugin "{ipam["Driver"]}" not found')
    network = Network(
        id=new_id(),
        name=name,
        driver=body.get("Driver") or "bridge",
        created=clock.stamp(),
        internal=bool(body.get("Internal")),
        attachable=bool(body.get("Attachable")),
        enable_ipv4=body.get("EnableIPv4") is not False,
        enable_ipv6=bool(body.get("EnableIPv6")),
        ipam_options=dict(ipam.get("Options") or {}),
        options=dict(body.get("Options") or {}),
        labels=dict(body.get("Labels") or {}),
        config_only=bool(body.get("ConfigOnly")),
    )
    configs = list(ipam.get("Config") or ())
    source = (body.get("ConfigFrom") or {}).get("Network")
    if source:
        if network.config_only:
            raise InvalidArgument(
                "configuration network can't depend on another configuration network"
            )
        if configs or network.options:
            raise InvalidArgument(
                "network driver options and IPAM configuration come from the configuration "
                f"network {source}: they cannot be given as well"
            )
        template = find(source)
        if not template.config_only:
            raise Forbidden(f"{source} is not a configuration network")
        network.config_from = template.name
        network.enable_ipv4, network.enable_ipv6 = template.enable_ipv4, template.enable_ipv6
        network.options = dict(template.options)
        network.subnets = list(template.subnets)
        network.labels = {**template.labels, **network.labels}
    else:
        network.subnets = _subnets(configs, enable_ipv6=network.enable_ipv6)
    if not (network.enable_ipv4 or network.enable_ipv6):
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    if network.config_only:
        network.driver = "null"
        return network
    _check_driver(network)
    return network


def _check_driver(network: Network) -> None:
    driver = network.driver
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay":
        raise Unavailable(
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
            "to connect this node to swarm and try again."
        )
    if driver not in ("bridge", "macvlan"):
        raise NotFound(
            f'could not find plugin {driver} in v1 plugin registry: plugin "{driver}" not found'
        )
    mtu = network.options.get(DRIVER_MTU)
    if mtu is not None and not (mtu.isdigit() and 68 <= int(mtu) <= 65535):
        raise InvalidArgument(f"failed to parse {DRIVER_MTU} value: {mtu!r}")
    prefix = network.options.get(INTERFACE_PREFIX, "eth")
    if not re.fullmatch(r"[a-zA-Z_-]{1,12}", prefix) or prefix == "lo":
        raise InvalidArgument(f"invalid interface prefix: {prefix!r}")
    (_check_bridge if driver == "bridge" else _check_macvlan)(network.options)


def _check_bridge(options: dict[str, str]) -> None:
    for key, value in options.items():
        if key.startswith("com.docker.network.bridge.") and key not in _BRIDGE_OPTIONS:
            raise Unsupported(f"network option {key} is not supported by this engine")
        if key in _GATEWAY_MODES and value != "nat":
            raise Unsupported(f"{key}={value} is not supported by this engine: only nat is")
        if key in _SWITCHES and value.lower() not in ("1", "t", "true", "0", "f", "false"):
            raise InvalidArgument(f"failed to parse {key} value: {value!r} (must be true or false)")
    if (name := options.get(BRIDGE_NAME)) is not None and not _DEVICE.fullmatch(name):
        raise InvalidArgument(f"invalid bridge name: {name!r}")
    if binding := options.get(HOST_BINDING):
        _address(binding, "invalid host binding address")


def _check_macvlan(options: dict[str, str]) -> None:
    mode = options.get("macvlan_mode") or "bridge"
    if mode not in MACVLAN_MODES:
        raise InvalidArgument(f"requested macvlan mode '{mode}' is not valid")
    if options.get("parent") == "lo":
        raise InvalidArgument("loopback interface is not a valid macvlan parent link")
    for key in options:
        if key not in ("parent", "macvlan_mode", DRIVER_MTU, INTERFACE_PREFIX):
            raise Unsupported(f"network option {key} is not supported by the macvlan driver")


def _address(text: str, what: str) -> None:
    try:
        plain_address(text)
    except ValueError:
        raise InvalidArgument(f"{what}: {text!r}") from None


def _subnets(configs: list[dict[str, Any]], *, enable_ipv6: bool) -> list[Subnet]:
    """Judge IPAM's Config, in the Docker Engine's words, every fault of it at once."""
    faults: list[str] = []
    subnets = []
    for config in configs:
        text = config.get("Subnet") or ""
        if not text and not any(config.get(key) for key in ("IPRange", "Gateway")):
            continue
        try:
            if "/" not in text or "%" in text:
                raise ValueError
            subnet = ip_network(text, strict=False)
        except ValueError:
            faults.append(f"invalid subnet {text}: invalid CIDR block notation")
            continue
        if subnet.version == 6 and not enable_ipv6:
            continue
        if str(subnet) != _normal(text):
            faults.append(f"invalid subnet {text}: it should be {subnet}")
        area = config.get("IPRange") or ""
        faults += _range_faults(area, subnet)
        if subnet.is_multicast or subnet.is_unspecified or subnet.is_loopback:
            faults.append(f"invalid subnet {text}: no host can have an address of it")
            continue
        gateway = config.get("Gateway") or ""
        if gateway and (fault := _address_fault(gateway, subnet)):
            faults.append(f"invalid gateway {gateway}: {fault}")
        others = dict(config.get("AuxiliaryAddresses") or {})
        for name, address in others.items():
            if fault := _address_fault(address, subnet):
                faults.append(f"invalid auxiliary address {name}: {fault}")
        if not faults:
            # As the kernel writes them, to be found again.
            plain = {name: str(plain_address(item)) for name, item in others.items()}
            gateway = str(plain_address(gateway)) if gateway else ""
            area = str(ip_network(area)) if area else ""
            subnets.append(Subnet(str(subnet), gateway, area, plain))
    if faults:
        raise InvalidArgument("invalid network config:\n" + "\n".join(faults))
    return subnets


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """Return an address that names no device, and nothing else after it. Raises: ValueError."""
    if "%" in text:
        raise ValueError(text)
    return ip_address(text)


def _normal(text: str) -> str:
    address, _, bits = text.partition("/")
    return f"{ip_address(address)}/{bits}"


def _range_faults(text: str, subnet: IPv4Network | IPv6Network) -> list[str]:
    if not text:
        return []
    try:
        if "%" in text:
            raise ValueError
        area = ip_network(text, strict=False)
    except ValueError:
        return [f"invalid ip-range {text}: invalid CIDR block notation"]
    if area.version != subnet.version:
        return [f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block"]
    if area.prefixlen < subnet.prefixlen:
        return [f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"]
    if area.network_address not in subnet:
        return [f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"]
    if str(area) != _normal(text):
        return [f"invalid ip-range {text}: it should be {area}"]
    return []


def _address_fault(text: str, subnet: IPv4Network | IPv6Network) -> str:
    try:
        address = plain_address(text)
    except ValueError:
        return "invalid address"
    if address.version != subnet.version:
        return f"parent subnet is an IPv{subnet.version} block"
    if address not in subnet:
        return f"parent subnet {subnet} doesn't contain this address"
    return ""
