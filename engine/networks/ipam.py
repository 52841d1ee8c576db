"""Addresses: which subnets networks take, and which addresses containers get."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import TYPE_CHECKING

from engine.core.errors import Forbidden, InvalidArgument, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from engine.networks.model import Subnet

    AnyNetwork = IPv4Network | IPv6Network
    AnyAddress = IPv4Address | IPv6Address

MOST_SUBNETS = 65536  # of one pool that are looked at
# The Docker Engine's own default pools, in its order: (base, length of each subnet's prefix).
DEFAULT_POOLS: tuple[tuple[IPv4Network | IPv6Network, int], ...] = (
    *((IPv4Network(f"172.{second}.0.0/16"), 16) for second in range(17, 20)),
    (IPv4Network("172.20.0.0/14"), 16),
    (IPv4Network("172.24.0.0/13"), 16),
    (IPv4Network("192.168.0.0/16"), 20),
    *((IPv4Network(f"10.{second}.0.0/16"), 16) for second in range(201, 250)),
)


def parse_pools(text: str) -> tuple[tuple[AnyNetwork, int], ...]:
    """Return the pools that "10.10.0.0/16:24,fd00:1::/48:64" means; "" means Docker's own.

    Raises: InvalidArgument.
    """
    pools = []
    for word in filter(None, text.replace(" ", "").split(",")):
        base, _, size = word.rpartition(":")
        try:
            network = ip_network(base)
            if not network.prefixlen <= int(size) <= network.max_prefixlen - 2:
                raise ValueError
        except ValueError:
            raise InvalidArgument(
                f"invalid address pool {word!r}: expected BASE/BITS:BITS"
            ) from None
        pools.append((network, int(size)))
    return tuple(pools) or DEFAULT_POOLS


def overlap(one: AnyNetwork, other: AnyNetwork) -> bool:
    """Tell whether two networks, of whatever family, share an address."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def choose_subnet(
    pools: Iterable[tuple[AnyNetwork, int]], taken: Sequence[AnyNetwork], version: int
) -> AnyNetwork:
    """Return the first subnet of the pools that overlaps nothing that is in use or routed.

    Raises: Unavailable(all are taken).
    """
    blocked = [network for network in taken if network.version == version and network.prefixlen]
    for base, size in pools:
        if base.version != version:
            continue
        subnets: Iterator[AnyNetwork] = base.subnets(new_prefix=size)
        for subnet in islice(subnets, MOST_SUBNETS):
            if not any(overlap(subnet, network) for network in blocked):
                return subnet
    raise Unavailable(
        f"all predefined address pools have been fully subnetted: no available, non-overlapping "
        f"IPv{version} address pool"
    )


class AddressPool:
    """The addresses of one subnet.

    The next free one is handed out, so that an address just given back is not used at once: peers
    may still hold connections to it.
    """

    def __init__(self, subnet: Subnet) -> None:
        self.subnet = ip_network(subnet.subnet)
        self.gateway = ip_address(subnet.gateway) if subnet.gateway else None
        self._first = int(self.subnet.network_address)
        area = ip_network(subnet.ip_range) if subnet.ip_range else self.subnet
        self._start = int(area.network_address) - self._first
        self._count = min(area.num_addresses, 1 << 24)
        self._used = {0}
        if self.subnet.version == 4 and self.subnet.prefixlen < 31:
            self._used.add(self.subnet.num_addresses - 1)
        for address in (subnet.gateway, *subnet.auxiliary.values()):
            if address:
                self._used.add(int(ip_address(address)) - self._first)
        self._next = 0

    def holds(self, address: AnyAddress) -> bool:
        """Tell whether an address is of this subnet."""
        return address.version == self.subnet.version and address in self.subnet

    def take(self) -> str | None:
        """Return a free address, None when there is none."""
        for step in range(self._count):
            place = (self._next + step) % self._count
            offset = self._start + place
            if offset not in self._used:
                self._used.add(offset)
                self._next = place + 1
                return str(self.subnet[offset])
        return None

    def claim(self, address: str) -> None:
        """Take one address. Raises: Forbidden("Address already in use")."""
        offset = int(ip_address(address)) - self._first
        if offset in self._used:
            raise Forbidden("Address already in use")
        self._used.add(offset)

    def give_back(self, address: str) -> None:
        """Make an address free again; one that is free already is fine."""
        self._used.discard(int(ip_address(address)) - self._first)


class Addresses:
    """All addresses of one network."""

    def __init__(self, subnets: Iterable[Subnet]) -> None:
        self.pools = [AddressPool(subnet) for subnet in subnets]

    def take(self, version: int, wanted: str) -> str:
        """Return an address of IP version 4 or 6: `wanted`, or any when that is "".

        Raises: InvalidArgument(not of this network) · Forbidden(in use) · Unavailable(none left).
        """
        pools = [pool for pool in self.pools if pool.subnet.version == version]
        if wanted:
            for pool in pools:
                if pool.holds(ip_address(wanted)):
                    pool.claim(wanted)
                    return wanted
            raise InvalidArgument(
                f"no configured subnet or ip-range contain the IP address {wanted}"
            )
        for pool in pools:
            if address := pool.take():
                return address
        raise Unavailable(f"no available IPv{version} addresses on this network's address pools")

    def claim(self, address: str) -> None:
        """Mark an address that is in use already."""
        for pool in self.pools:
            if pool.holds(ip_address(address)):
                pool.claim(address)

    def give_back(self, address: str) -> None:
        """Make an address free again; "" is fine."""
        for pool in self.pools if address else ():
            if pool.holds(ip_address(address)):
                pool.give_back(address)

    def pool_of(self, address: str) -> AddressPool | None:
        """Return the pool that an address is of."""
        return next((pool for pool in self.pools if pool.holds(ip_address(address))), None)
