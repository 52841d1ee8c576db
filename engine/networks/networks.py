"""The networks of one engine: what there is, and the devices that they stand on."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from dataclasses import replace
from ipaddress import IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from engine.core.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unavailable
from engine.networks import devices
from engine.networks.definition import define
from engine.networks.ipam import Addresses, choose_subnet, overlap, parse_pools
from engine.networks.model import (
    BRIDGE_ID,
    BRIDGE_NAME,
    DRIVER_MTU,
    ENABLE_ICC,
    HOST_BINDING,
    HOST_ID,
    MASQUERADE,
    NONE_ID,
    Network,
    Subnet,
)
from engine.store.networks import NetworkTable

if TYPE_CHECKING:
    from pyroute2 import IPRoute

    from engine.config import Settings
    from engine.core.events import EventBus
    from engine.networks.firewall import Firewall
    from engine.networks.ipam import AnyNetwork
    from engine.store.database import Database

log = logging.getLogger(__name__)
EPOCH = "1970-01-01T00:00:00Z"


class Networks:
    """All networks. Those that change the machine block, and are called from threads."""

    def __init__(self, settings: Settings, database: Database, events: EventBus) -> None:
        self._settings = settings
        self._events = events
        self._table = NetworkTable(database)
        self._pools = parse_pools(settings.address_pools)
        self._networks: dict[str, Network] = {}
        self._addresses: dict[str, Addresses] = {}
        self._lock = threading.RLock()  # one network is made or removed at a time
        self._going: set[str] = set()  # those that no container may come to any more
        self.firewall: Firewall

    def load(self) -> None:
        """Read what there is, and bring every device up."""
        for row in self._table.all():
            network = Network.from_row(row)
            self._networks[network.id] = network
        for network_id, name, driver in ((HOST_ID, "host", "host"), (NONE_ID, "none", "null")):
            self._networks[network_id] = Network(network_id, name, driver, EPOCH)
        with devices.machine() as netlink:
            self._load_default(netlink)
            for network in self.all():
                try:
                    if self._bring_up(netlink, network) and not network.made:
                        network.made = True  # what was the user's is gone: this one is ours
                        self._save(network)
                except Exception:
                    log.exception("network %s could not be brought up", network.name)
        for network in self._networks.values():
            self._addresses[network.id] = Addresses(network.subnets)
        devices.enable_forwarding(ipv6=any(item.enable_ipv6 for item in self._networks.values()))

    def _load_default(self, netlink: IPRoute) -> None:
        """Make the default bridge, or move it when somebody else took its addresses meanwhile."""
        network = self._networks.get(BRIDGE_ID)
        name = self._settings.bridge
        taken = devices.routed(netlink, except_device=name)
        # While the bridge stands containers may be on it, whatever routes somebody added since.
        if network and (devices.exists(netlink, name) or not _overlaps(network, taken)):
            return
        options = {
            "com.docker.network.bridge.default_bridge": "true",
            ENABLE_ICC: "true",
            MASQUERADE: "true",
            HOST_BINDING: "0.0.0.0",
            BRIDGE_NAME: name,
            DRIVER_MTU: "1500",
        }
        moved = Network(BRIDGE_ID, "bridge", "bridge", EPOCH, options=options)
        try:
            moved.subnets = [self._choose(4, taken)]
        except Unavailable:
            if network is None:
                raise
            log.warning("the default bridge keeps addresses that the host has a route for")
            return
        self._save(moved)

    def _save(self, network: Network) -> None:
        self._table.save(network.id, network.name, network.to_row())
        self._networks[network.id] = network
        self._addresses[network.id] = Addresses(network.subnets)

    def _bring_up(self, netlink: IPRoute, network: Network) -> bool:
        if network.config_only:
            return False
        if network.driver == "bridge":
            return devices.ensure_bridge(netlink, network)
        if network.driver == "macvlan":
            return devices.ensure_parent(netlink, network)
        return False

    def all(self) -> list[Network]:
        """Return every network."""
        return list(self._networks.values())

    def get(self, reference: str) -> Network:
        """Return the network that a name, an ID or the beginning of an ID means.

        Raises: NotFound(no such network) · InvalidArgument(several begin so).
        """
        if network := self._networks.get(reference):
            return network
        name = "bridge" if reference == "default" else reference
        for network in self._networks.values():
            if network.name == name:
                return network
        found = [
            item for key, item in self._networks.items() if reference and key.startswith(reference)
        ]
        if len(found) > 1:
            raise InvalidArgument(f"network {reference} is ambiguous ({len(found)} matches found)")
        if not found:
            raise NotFound.network(reference)
        return found[0]

    def named(self, reference: str) -> Network:
        """Return the network of exactly that name or ID. Raises: NotFound."""
        network = self.get(reference)
        if reference not in (network.id, network.name, "default"):
            raise NotFound.network(reference)
        return network

    def addresses(self, network: Network) -> Addresses:
        """Return the addresses of a network."""
        return self._addresses[network.id]

    def create(self, body: dict[str, Any]) -> Network:
        """Make a network.

        Raises: InvalidArgument · Conflict(name) · Forbidden(subnet in use) · NotFound(driver).
        After: on failure nothing is left of it.
        """
        with self._lock:
            network = define(body, self.get)
            self._check_unique(network)
            if network.config_only:
                self._save(network)
            else:
                with devices.machine() as netlink:
                    self._complete(netlink, network)
                    self._make(netlink, network)
        self._events.publish(
            "network", "create", network.id, name=network.name, type=network.driver
        )
        return network

    def _check_unique(self, network: Network) -> None:
        for other in self._networks.values():
            if other.name == network.name:
                raise Conflict(f"network with name {network.name} already exists")
            if other.config_only or network.config_only or other.driver != network.driver:
                continue
            if network.driver == "bridge" and other.device == network.device:
                raise Forbidden(
                    f"cannot create network {network.id} ({network.device}): conflicts with "
                    f"network {other.id} ({other.device}): networks have same bridge name"
                )
            if network.driver == "macvlan" and other.device == network.device:
                raise Forbidden(
                    f"network {other.name} is already using parent interface {network.device}"
                )

    def _complete(self, netlink: IPRoute, network: Network) -> None:
        """Choose the subnets and gateways that the request left open."""
        own = [
            ip_network(subnet.subnet)
            for other in self._networks.values()
            for subnet in other.subnets
            if not other.config_only
        ]
        for subnet in network.subnets:
            wanted = ip_network(subnet.subnet)
            if any(overlap(wanted, other) for other in own):
                raise Forbidden(
                    "invalid pool request: Pool overlaps with other one on this address space"
                )
            own.append(wanted)
        taken = [*devices.routed(netlink), *own]
        families = {subnet.is_ipv6 for subnet in network.subnets}
        if network.enable_ipv4 and False not in families:
            network.subnets.append(self._choose(4, taken))
        if network.enable_ipv6 and True not in families:
            network.subnets.append(self._choose(6, taken))
        if not network.enable_ipv4:
            network.subnets = [item for item in network.subnets if item.is_ipv6]
        network.subnets = [_with_gateway(subnet) for subnet in network.subnets]

    def _choose(self, version: int, taken: list[AnyNetwork]) -> Subnet:
        pools = self._pools
        if version == 6 and not any(base.version == 6 for base, _ in pools):
            # Of one's own, as RFC 4193 has it; the same at every start.
            digest = hashlib.sha256(str(self._settings.root).encode()).digest()
            pools = ((IPv6Network((b"\xfd" + digest[:5] + bytes(10), 48)), 64),)
        return _with_gateway(Subnet(str(choose_subnet(pools, taken, version)), chosen=False))

    def _make(self, netlink: IPRoute, network: Network) -> None:
        # Written down first: whoever removes it must know whose the device is.
        network.made = not devices.exists(netlink, network.device)
        self._save(network)
        try:
            self._bring_up(netlink, network)
            if network.enable_ipv6:
                devices.enable_forwarding(ipv6=True)
            self.firewall.add_network(network)
        except BaseException:
            if network.made:
                devices.remove_device(netlink, network.device)
            self._forget(network)
            raise

    def _forget(self, network: Network) -> None:
        self._table.delete(network.id)
        self._networks.pop(network.id, None)
        self._addresses.pop(network.id, None)

    async def remove(self, network: Network, users: list[tuple[str, str]]) -> None:
        """Remove a network; `users` are the (name, endpoint ID) of what runs on it now.

        From the first moment no container comes to it. Raises: Forbidden(predefined, in use) ·
        NotFound(somebody else removes it).
        """
        self._check_removal(network, users)
        self._going.add(network.id)
        try:
            await asyncio.to_thread(self._remove, network)
        finally:
            self._going.discard(network.id)
        self._tell("destroy", network)

    def check_stays(self, network: Network) -> None:
        """Raise NotFound for a network that is being removed."""
        if network.id in self._going:
            raise NotFound.network(network.name)

    def _check_removal(self, network: Network, users: list[tuple[str, str]]) -> None:
        self.check_stays(network)
        if network.is_predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if users:
            shown = ", ".join(f'name:"{name}" id:"{endpoint[:12]}"' for name, endpoint in users)
            raise Forbidden(
                f"error while removing network: network {network.name} has active endpoints "
                f"({shown})"
            )

    def _remove(self, network: Network) -> None:
        with self._lock:
            if network.id not in self._networks:
                raise NotFound.network(network.name)
            for other in self._networks.values():
                if network.config_only and other.config_from == network.name:
                    raise Forbidden(f'configuration network "{network.name}" is in use')
            if not network.config_only:
                self.firewall.remove_network(network)
                if network.made:
                    with devices.machine() as netlink:
                        devices.remove_device(netlink, network.device)
            self._forget(network)

    def _tell(self, action: str, network: Network) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._events.publish("network", action, network.id, **attributes)

    def dismantle(self) -> None:
        """Remove every device and the firewall's table, when no container uses them."""
        self.firewall.remove()
        with devices.machine() as netlink:
            for network in self._networks.values():
                if network.driver in ("bridge", "macvlan") and network.made:
                    devices.remove_device(netlink, network.device)


def _overlaps(network: Network, taken: list[AnyNetwork]) -> bool:
    return any(
        overlap(ip_network(item.subnet), other)
        for item in network.subnets
        for other in taken
        if other.prefixlen
    )


def _with_gateway(subnet: Subnet) -> Subnet:
    if subnet.gateway:
        return subnet
    network = ip_network(subnet.subnet)
    taken = set(subnet.auxiliary.values())
    first = next((item for item in network.hosts() if str(item) not in taken), None)
    if first is None:
        raise InvalidArgument(f"subnet {network} has no address left for a gateway")
    return replace(subnet, gateway=str(first))
