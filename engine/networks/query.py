"""Networks as the API shows them, and which of them a list or a prune means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.core.clock import parse, parse_since
from engine.core.errors import InvalidArgument
from engine.core.labels import has_label

if TYPE_CHECKING:
    from engine.networks.model import Network
    from engine.networks.networks import Networks
    from engine.networks.sandboxes import Sandboxes

_LIST = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNE = frozenset({"until", "label", "label!"})


def describe(network: Network, sandboxes: Sandboxes, *, containers: bool = True) -> dict[str, Any]:
    """Return Docker's description; `containers` are shown by an inspection, not in a list."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": network.enable_ipv4,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": network.ipam_options or None,
            "Config": [subnet.to_json() for subnet in network.subnets],
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Containers": _containers(network, sandboxes) if containers else {},
        "Options": network.options,
        "Labels": network.labels,
    }


def _containers(network: Network, sandboxes: Sandboxes) -> dict[str, Any]:
    return {
        sandbox.container_id: {
            "Name": sandbox.name,
            "EndpointID": endpoint.endpoint_id,
            "MacAddress": endpoint.mac,
            "IPv4Address": sandboxes.cidr(network, endpoint.ipv4),
            "IPv6Address": sandboxes.cidr(network, endpoint.ipv6),
        }
        for sandbox, endpoint in sandboxes.on(network)
    }


def matching(
    networks: Networks, sandboxes: Sandboxes, filters: dict[str, list[str]]
) -> list[Network]:
    """Return the networks that pass every filter. Raises: InvalidArgument."""
    for name in filters:
        if name not in _LIST:
            raise InvalidArgument(f"invalid filter '{name}'")
    return [
        network
        for network in networks.all()
        if all(_passes(network, sandboxes, key, values) for key, values in filters.items())
    ]


def _passes(network: Network, sandboxes: Sandboxes, key: str, values: list[str]) -> bool:
    match key:
        case "driver":
            return network.driver in values
        case "id":
            return any(network.id.startswith(value) for value in values)
        case "label":
            return all(has_label(network.labels, value) for value in values)
        case "name":
            return any(value in network.name for value in values)
        case "scope":
            return "local" in values
        case "type":
            for value in values:
                if value not in ("builtin", "custom"):
                    raise InvalidArgument(f"invalid filter: 'type'='{value}'")
            return ("builtin" if network.is_predefined else "custom") in values
        case _:
            if values[:1] not in (["true"], ["1"], ["false"], ["0"]):
                raise InvalidArgument(f"invalid filter 'dangling={values}'")
            wanted = values[0] in ("true", "1")
            unused = not network.is_predefined and not sandboxes.on(network)
            return unused is wanted


def prunable(
    networks: Networks, sandboxes: Sandboxes, filters: dict[str, list[str]]
) -> list[Network]:
    """Return what a prune removes. Raises: InvalidArgument."""
    for name in filters:
        if name not in _PRUNE:
            raise InvalidArgument(f"invalid filter '{name}'")
    newest = None
    if "until" in filters:
        try:
            newest = parse_since(filters["until"][0])
        except (ValueError, IndexError):
            raise InvalidArgument(f"invalid filter 'until={filters['until']}'") from None
    return [
        network
        for network in networks.all()
        if not network.is_predefined
        and not network.config_only
        and not sandboxes.on(network)
        and (newest is None or parse(network.created).timestamp() < newest)
        and all(has_label(network.labels, value) for value in filters.get("label", ()))
        and not any(has_label(network.labels, value) for value in filters.get("label!", ()))
    ]
