"""Addresses and the files that tell a container about its network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from engine.core.errors import InvalidArgument, Unavailable
from engine.networks import resolver
from engine.networks.ipam import POOLS, AddressPool, choose_subnet
from engine.networks.model import NetworkRequest


def test_subnet_avoids_what_the_host_routes():
    """The first pool that overlaps nothing is taken; none left is an error."""
    assert choose_subnet([]) == POOLS[0]
    assert choose_subnet([IPv4Network("172.16.0.0/12")]) == IPv4Network("192.168.0.0/20")
    with pytest.raises(Unavailable):
        choose_subnet([IPv4Network("0.0.0.0/0")])


def test_addresses_are_not_reused_at_once():
    """An address given back waits until the others had their turn."""
    pool = AddressPool(IPv4Network("10.0.0.0/29"))
    first = pool.take()
    assert first == IPv4Address("10.0.0.2")
    pool.give_back(first)
    assert [str(pool.take()) for _ in range(5)] == [
        "10.0.0.3",
        "10.0.0.4",
        "10.0.0.5",
        "10.0.0.6",
        "10.0.0.2",
    ]
    with pytest.raises(Unavailable):
        pool.take()


def request(**fields):
    return NetworkRequest("1" * 64, "web", "box", **fields)


def test_resolvers_on_loopback_are_left_out():
    """The host's own loopback resolver is of no use inside."""
    text = resolver.resolv_conf(
        "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a b\n", request()
    )
    assert text == "nameserver 192.0.2.1\nsearch a b\n"
    assert "8.8.8.8" in resolver.resolv_conf("nameserver 127.0.0.1\n", request())
    own = resolver.resolv_conf("nameserver 192.0.2.1\n", request(dns=("192.0.2.9",)))
    assert own == "nameserver 192.0.2.9\n"


def test_hosts():
    """The container knows itself and the hosts it was told of."""
    wanted = request(extra_hosts=("db:192.0.2.7", "host:host-gateway"), domainname="lan")
    text = resolver.hosts(wanted, "172.17.0.2", "172.17.0.1")
    assert "192.0.2.7\tdb\n" in text
    assert "172.17.0.1\thost\n" in text
    assert "172.17.0.2\tbox.lan box\n" in text
    with pytest.raises(InvalidArgument):
        resolver.hosts(request(extra_hosts=("nonsense",)), None, None)
