"""The devices that networks stand on, through pyroute2: bridges, and parents of macvlans.

Every function takes the `IPRoute` of its caller, which belongs to the thread that made it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.core.errors import InvalidArgument, Unavailable, Unsupported
from engine.kernel.netlink import set_parameter
from engine.networks.model import DRIVER_MTU

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.networks.ipam import AnyNetwork
    from engine.networks.model import Network

POOL_LOCK = Path("/run/lock/hythe-address-pools")
IFA_F_NODAD = 0x02


@contextlib.contextmanager
def machine() -> Iterator[IPRoute]:
    """Hold off other engines while subnets are chosen and taken. Raises: Unavailable(netlink)."""
    POOL_LOCK.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(POOL_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with IPRoute() as netlink:
            yield netlink
    except NetlinkError as error:
        raise Unavailable(f"netlink: {error}") from error
    finally:
        os.close(fd)


def routed(netlink: IPRoute, except_device: str = "") -> list[AnyNetwork]:
    """Return what the host has routes to, but for those by one device."""
    found = netlink.link_lookup(ifname=except_device) if except_device else []
    networks: list[AnyNetwork] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for route in netlink.get_routes(family=family):
            target = route.get_attr("RTA_DST")
            if target and route.get_attr("RTA_OIF") not in found:
                networks.append(ip_network(f"{target}/{route['dst_len']}", strict=False))
    return networks


def ensure_bridge(netlink: IPRoute, network: Network) -> bool:
    """Bring a network's bridge up with its gateways' addresses; return whether it was made.

    After: on failure a bridge that was made is gone.
    """
    name = network.device
    made = not netlink.link_lookup(ifname=name)
    if made:
        netlink.link("add", ifname=name, kind="bridge")
    try:
        _set_up_bridge(netlink, network, made=made)
    except BaseException:
        if made:
            remove_device(netlink, name)
        raise
    return made


def _set_up_bridge(netlink: IPRoute, network: Network, *, made: bool) -> None:
    name = network.device
    (index,) = netlink.link_lookup(ifname=name)
    if not made:
        info = netlink.get_links(index)[0].get_attr("IFLA_LINKINFO")
        if info is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
            raise InvalidArgument(f"device {name} exists and is not a bridge")
    if network.enable_ipv6:
        _set(f"net/ipv6/conf/{name}/disable_ipv6", "0")
    elif made:
        _set(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    present = {item.get_attr("IFA_ADDRESS") for item in netlink.get_addr(index=index)}
    for subnet in network.subnets:
        if subnet.gateway and subnet.gateway not in present:
            bits = ip_network(subnet.subnet).prefixlen
            # Duplicate detection would wait for a port that is up.
            flags = {"flags": IFA_F_NODAD} if subnet.is_ipv6 else {}
            netlink.addr("add", index=index, address=subnet.gateway, prefixlen=bits, **flags)
    asked = made or DRIVER_MTU in network.options
    netlink.link("set", index=index, state="up", **({"mtu": network.mtu} if asked else {}))
    # Lets the host's own connections to 127.0.0.1:port be led to a container.
    _set(f"net/ipv4/conf/{name}/route_localnet", "1")


def exists(netlink: IPRoute, name: str) -> bool:
    """Tell whether there is a device of that name."""
    return bool(netlink.link_lookup(ifname=name))


def remove_device(netlink: IPRoute, name: str) -> None:
    """Remove a device; one that is not there is fine."""
    for index in netlink.link_lookup(ifname=name):
        netlink.link("del", index=index)


def ensure_parent(netlink: IPRoute, network: Network) -> bool:
    """See that a macvlan's parent is there and up; return whether it was made.

    "eth0.10" is made as VLAN 10 of eth0; no parent at all as a dummy, so that containers reach
    each other and nothing else. Raises: InvalidArgument · Unsupported(this kernel has none).
    """
    name = network.device
    if found := netlink.link_lookup(ifname=name):
        netlink.link("set", index=found[0], state="up")
        return False
    try:
        if "parent" not in network.options:
            netlink.link("add", ifname=name, kind="dummy")
        else:
            base, _, tag = name.rpartition(".")
            above = netlink.link_lookup(ifname=base) if tag.isdigit() and base else []
            if not above:
                raise InvalidArgument(f"invalid subinterface vlan name {name}: no such device")
            netlink.link("add", ifname=name, kind="vlan", link=above[0], vlan_id=int(tag))
        netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")
    except NetlinkError as error:
        remove_device(netlink, name)
        raise Unsupported(f"making {name}: {error.args[1]}") from error
    return True


def enable_forwarding(*, ipv6: bool) -> None:
    """Let the host pass packets on; what it learns from routers stays learnt."""
    _set("net/ipv4/ip_forward", "1")
    current = Path("/proc/sys/net/ipv6/conf/all/forwarding")
    if not ipv6 or not current.exists() or current.read_text(encoding="ascii").strip() == "1":
        return
    # A forwarding host ignores router advertisements unless told to listen on.
    for path in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
        if path.read_text(encoding="ascii").strip() == "1":
            path.write_text("2", encoding="ascii")
    _set("net/ipv6/conf/all/forwarding", "1")


def _set(path: str, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        set_parameter(path, value)
