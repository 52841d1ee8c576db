"""Addresses: which subnet an engine takes, and which address a container gets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from engine.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

# The Docker Engine's own default pools, in its order.
POOLS = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)),
    *(IPv4Network(f"192.168.{third}.0/20") for third in range(0, 256, 16)),
    *(IPv4Network(f"10.{second}.0.0/16") for second in range(201, 250)),
)


def choose_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first pool that overlaps nothing of what the host already routes.

    Raises: Unavailable(all pools are taken).
    """
    blocked = list(taken)
    for pool in POOLS:
        if not any(pool.overlaps(network) for network in blocked):
            return pool
    raise Unavailable("could not find an available, non-overlapping IPv4 address pool")


class AddressPool:
    """The addresses of one subnet; the first is the gateway's.

    The next free one is handed out, so that an address just given back is not used at once: peers
    may still hold connections to it.
    """

    def __init__(self, subnet: IPv4Network) -> None:
        self.subnet = subnet
        self.gateway = subnet.network_address + 1
        self._first = int(subnet.network_address)
        self._used = {0, 1, subnet.num_addresses - 1}
        self._next = 2

    def take(self) -> IPv4Address:
        """Return a free address. Raises: Unavailable(none is left)."""
        size = self.subnet.num_addresses
        for step in range(size):
            offset = (self._next + step) % size
            if offset not in self._used:
                self._used.add(offset)
                self._next = offset + 1
                return IPv4Address(self._first + offset)
        raise Unavailable("no available IPv4 addresses on this network's address pools")

    def claim(self, address: IPv4Address) -> None:
        """Mark an address as used."""
        self._used.add(int(address) - self._first)

    def give_back(self, address: IPv4Address) -> None:
        """Make an address free again; one that is free already is fine."""
        self._used.discard(int(address) - self._first)
