"""Addresses and the files that tell a container about its network."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from engine.core.errors import Forbidden, InvalidArgument, Unavailable
from engine.networks import resolver
from engine.networks.ipam import DEFAULT_POOLS, Addresses, choose_subnet, parse_pools
from engine.networks.model import NetworkRequest, Subnet


def test_subnet_avoids_what_the_host_routes():
    """The first pool that overlaps nothing is taken; none left is an error."""
    assert str(choose_subnet(DEFAULT_POOLS, [], 4)) == "172.17.0.0/16"
    routed = [IPv4Network("172.16.0.0/12")]
    assert str(choose_subnet(DEFAULT_POOLS, routed, 4)) == "192.168.0.0/20"
    own = parse_pools("10.9.0.0/24:25")
    assert str(choose_subnet(own, [IPv4Network("10.9.0.5/32")], 4)) == "10.9.0.128/25"
    with pytest.raises(Unavailable):
        choose_subnet(own, [IPv4Network("10.9.0.0/16")], 4)
    # A default route is no reason to take nothing.
    assert choose_subnet(own, [IPv4Network("0.0.0.0/0")], 4)


def test_addresses_are_not_reused_at_once():
    """An address given back waits until the others had their turn."""
    pool = Addresses([Subnet("10.0.0.0/29", "10.0.0.1")])
    assert pool.take(4, "") == "10.0.0.2"
    pool.give_back("10.0.0.2")
    found = [pool.take(4, "") for _ in range(5)]
    assert found == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]
    with pytest.raises(Unavailable):
        pool.take(4, "")


def test_addresses_by_wish():
    """A range bounds what is chosen, not what may be wanted; taken ones are refused."""
    pool = Addresses([Subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.64/30", {"a": "10.0.0.65"})])
    assert [pool.take(4, "") for _ in range(3)] == ["10.0.0.64", "10.0.0.66", "10.0.0.67"]
    assert pool.take(4, "10.0.0.9") == "10.0.0.9"
    for taken in ("10.0.0.9", "10.0.0.1", "10.0.0.65"):
        with pytest.raises(Forbidden, match="already in use"):
            pool.take(4, taken)
    with pytest.raises(InvalidArgument, match="no configured subnet"):
        pool.take(4, "10.0.1.9")


def request(**fields):
    return NetworkRequest("1" * 64, "web", "box", **fields)


def test_resolvers_on_loopback_are_left_out():
    """The host's own loopback resolver is of no use inside."""
    host = "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch a b\n"
    text = resolver.resolv_conf(host, request(), "")
    assert text == "nameserver 192.0.2.1\nsearch a b\n"
    assert "8.8.8.8" in resolver.resolv_conf("nameserver 127.0.0.1\n", request(), "")
    own = resolver.resolv_conf("nameserver 192.0.2.1\n", request(dns=("192.0.2.9",)), "")
    assert own == "nameserver 192.0.2.9\n"


def test_hosts():
    """The container knows itself and the hosts it was told of."""
    wanted = request(extra_hosts=("db:192.0.2.7", "host:host-gateway"), domainname="lan")
    text = resolver.hosts(wanted, ["172.17.0.2"], "172.17.0.1")
    assert "192.0.2.7\tdb\n" in text
    assert "172.17.0.1\thost\n" in text
    assert "172.17.0.2\tbox.lan box\n" in text
    with pytest.raises(InvalidArgument):
        resolver.hosts(request(extra_hosts=("nonsense",)), [], "")
