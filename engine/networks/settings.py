"""Docker's NetworkSettings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.networks.model import Endpoint, Network, Sandbox

BLANK: dict[str, Any] = {
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "MacAddress": "",
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
}


def _described(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "IPAMConfig": config.get("IPAMConfig"),
        "Links": config.get("Links") or None,
        "Aliases": config.get("Aliases") or None,
        "DriverOpts": config.get("DriverOpts") or None,
        "GwPriority": config.get("GwPriority") or 0,
    }


def endpoint_settings(
    network: Network, endpoint: Endpoint, ipv4: str, ipv6: str, gateway: str, gateway6: str
) -> dict[str, Any]:
    """Return EndpointSettings; `ipv4` and `ipv6` are in CIDR notation, or "" for none."""
    address, _, bits = ipv4.partition("/")
    address6, _, bits6 = ipv6.partition("/")
    return {
        **_described(endpoint.config),
        "NetworkID": network.id,
        "EndpointID": endpoint.endpoint_id,
        "Gateway": gateway,
        "IPAddress": address,
        "IPPrefixLen": int(bits or 0),
        "MacAddress": endpoint.mac,
        "IPv6Gateway": gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(bits6 or 0),
        "DNSNames": endpoint.names if network.has_names else None,
    }


def unplugged(network_id: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the EndpointSettings of a container that does not run."""
    return {**_described(config), "NetworkID": network_id, **BLANK, "DNSNames": None}


def port_settings(sandbox: Sandbox, networks: dict[str, Any]) -> dict[str, Any]:
    """Return the whole, with ports, and the default bridge's addresses where old clients look."""
    ports: dict[str, list[dict[str, str]] | None] = dict.fromkeys(sandbox.exposed)
    for port in sandbox.ports:
        key = f"{port.container_port}/{port.protocol}"
        binding = {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        ports[key] = [*(ports.get(key) or []), binding]
    default = networks.get("bridge") or BLANK
    return {
        "Bridge": "",
        "SandboxID": sandbox.sandbox_id,
        "SandboxKey": "",
        "Ports": ports,
        **{key: default[key] for key in BLANK},
        "Networks": networks,
    }


def blank_settings(network: Network) -> dict[str, Any]:
    """Return the settings of a container on the host's network, or on none."""
    shown = unplugged(network.id, {})
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": {},
        **BLANK,
        "Networks": {network.name: shown},
    }
