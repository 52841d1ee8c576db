"""The few rtnetlink messages that a container's start needs, without a library's start-up cost.

The messages follow rtnetlink(7); everything that is not on the path of a start goes through
pyroute2 in `engine.networks`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from ipaddress import ip_address, ip_interface

RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK, RTM_NEWADDR = 16, 17, 19, 20
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x100, 0x200, 0x400
NLMSG_ERROR = 2
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_PROTINFO, IFLA_LINKINFO, IFLA_NET_NS_PID = 12, 18, 19
IFLA_BRPORT_ISOLATED, IFLA_MACVLAN_MODE, AF_BRIDGE = 33, 1, 7
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02
RTA_OIF, RTA_GATEWAY = 4, 5
NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLA_F_NESTED = 0x8000
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 3, 0, 1
IFF_UP = 1


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


def _link_header(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def new_veth(name: str, bridge_index: int, peer: str, peer_pid: int, mac: str, mtu: int) -> bytes:
    """Return the message that makes a veth pair with its far end inside a process's namespace."""
    far = _link_header()
    far += _attribute(IFLA_IFNAME, peer.encode() + b"\0")
    far += _attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    far += _attribute(IFLA_MTU, struct.pack("=I", mtu))
    far += _attribute(IFLA_NET_NS_PID, struct.pack("=I", peer_pid))
    info = _attribute(IFLA_INFO_KIND, b"veth\0")
    info += _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, far))
    body = _link_header(flags=IFF_UP)
    body += _attribute(IFLA_IFNAME, name.encode() + b"\0")
    body += _attribute(IFLA_MTU, struct.pack("=I", mtu))
    body += _attribute(IFLA_MASTER, struct.pack("=I", bridge_index))
    body += _attribute(IFLA_LINKINFO, info)
    return _message(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)


def new_macvlan(name: str, parent_index: int, mode: str, pid: int, mac: str, mtu: int) -> bytes:
    """Return the message that makes a macvlan on `parent_index` inside a process's namespace."""
    body = _link_header()
    body += _attribute(IFLA_IFNAME, name.encode() + b"\0")
    if mac:
        body += _attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    if mtu:
        body += _attribute(IFLA_MTU, struct.pack("=I", mtu))
    body += _attribute(IFLA_LINK, struct.pack("=I", parent_index))
    body += _attribute(IFLA_NET_NS_PID, struct.pack("=I", pid))
    info = _attribute(IFLA_INFO_KIND, b"macvlan\0")
    number = struct.pack("=I", MACVLAN_MODES[mode])
    info += _attribute(IFLA_INFO_DATA, _attribute(IFLA_MACVLAN_MODE, number))
    body += _attribute(IFLA_LINKINFO, info)
    return _message(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL)


def isolate_port(index: int) -> bytes:
    """Return the message that lets a bridge's port speak with the bridge but no other port."""
    body = struct.pack("=BxHiII", AF_BRIDGE, 0, index, 0, 0)
    flag = _attribute(IFLA_BRPORT_ISOLATED, b"\1")
    body += _attribute(IFLA_PROTINFO | NLA_F_NESTED, flag)
    return _message(RTM_SETLINK, body)


def set_up(index: int) -> bytes:
    """Return the message that sets an interface up."""
    return _message(RTM_NEWLINK, _link_header(index, IFF_UP))


def delete_link(index: int) -> bytes:
    """Return the message that removes an interface."""
    return _message(RTM_DELLINK, _link_header(index))


def new_address(index: int, cidr: str) -> bytes:
    """Return the message that gives an interface an address."""
    interface = ip_interface(cidr)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    prefix = interface.network.prefixlen
    # Duplicate address detection would keep the address unusable for a second.
    flags = IFA_F_NODAD if interface.version == 6 else 0
    body = struct.pack("=BBBBi", family, prefix, flags, RT_SCOPE_UNIVERSE, index)
    body += _attribute(IFA_LOCAL, interface.ip.packed)
    body += _attribute(IFA_ADDRESS, interface.ip.packed)
    if interface.version == 4:
        body += _attribute(IFA_BROADCAST, interface.network.broadcast_address.packed)
    return _message(RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_EXCL)


def default_route(index: int, gateway: str) -> bytes:
    """Return the message that routes everything through `gateway`, in place of what was before."""
    address = ip_address(gateway)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = (RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST)
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, *kind, 0)
    body += _attribute(RTA_GATEWAY, address.packed)
    body += _attribute(RTA_OIF, struct.pack("=I", index))
    return _message(RTM_NEWROUTE, body, NLM_F_CREATE | NLM_F_REPLACE)


def no_default_route(version: int) -> bytes:
    """Return the message that removes the default route of IP version 4 or 6."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    kind = (RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST)
    return _message(RTM_DELROUTE, struct.pack("=BBBBBBBBI", family, 0, 0, 0, *kind, 0))


def set_parameter(path: str, value: str) -> None:
    """Write one parameter of this network namespace, "net.ipv4.conf.eth0.forwarding" as a path.

    Raises: OSError.
    """
    # No text file: its codec would be imported by every supervisor, into memory of its own.
    fd = os.open(f"/proc/sys/{path}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def disable_ipv6(interface: str) -> None:
    """Give an interface of this network namespace no IPv6; a kernel without IPv6 is fine.

    Its solicitations and reports would be flooded to every other port of its bridge.
    """
    with contextlib.suppress(FileNotFoundError):
        set_parameter(f"net/ipv6/conf/{interface}/disable_ipv6", "1")


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    header = struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 0, 0)
    return header + body


def send(messages: list[bytes]) -> None:
    """Send all messages at once in the caller's network namespace and wait for every answer.

    Raises: OSError(errno) of the first one that the kernel refused.
    """
    _exchange(NETLINK_ROUTE, b"".join(messages), len(messages))


def _exchange(protocol: int, data: bytes, expected: int) -> None:
    flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, flags, protocol) as link:
        link.bind((0, 0))
        link.send(data)
        answered = 0
        failure = 0
        while answered < expected:
            data = link.recv(65536)
            offset = 0
            while offset < len(data):
                length, kind = struct.unpack_from("=IH", data, offset)
                if kind == NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", data, offset + 16)
                    failure = failure or -number
                    answered += 1
                offset += (length + 3) & ~3
        if failure:
            raise OSError(failure, f"netlink: {os.strerror(failure)}")


# nf_tables, for the one table that a container with a resolver of its own gets. Its two rules are
# known ahead, and libnftables would have to be loaded by every supervisor.
_NFNL_BATCH_BEGIN, _NFNL_BATCH_END, _NFNL_SUBSYS_NFTABLES = 16, 17, 10
_NEWTABLE, _NEWCHAIN, _NEWRULE = (_NFNL_SUBSYS_NFTABLES << 8 | number for number in (0, 3, 6))
_NFPROTO_IPV4, _LOCAL_OUT, _DSTNAT = 2, 3, -100
_REGISTER_1, _REGISTER_2, _META_L4PROTO, _DNAT = 1, 2, 16, 1


def _nested(kind: int, *members: bytes) -> bytes:
    return _attribute(kind | NLA_F_NESTED, b"".join(members))


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!i", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _expression(name: str, *members: bytes) -> bytes:
    return _nested(1, _text(1, name), _nested(2, *members))


def _load(base: int, offset: int, length: int, wanted: bytes) -> bytes:
    """Return the expressions that compare bytes of a packet: base 1 network, 2 transport."""
    place = (_number(1, _REGISTER_1), _number(2, base), _number(3, offset), _number(4, length))
    return _expression("payload", *place) + _equal(wanted)


def _equal(wanted: bytes) -> bytes:
    return _expression(
        "cmp", _number(1, _REGISTER_1), _number(2, 0), _nested(3, _attribute(1, wanted))
    )


def _immediate(register: int, value: bytes) -> bytes:
    return _expression("immediate", _number(1, register), _nested(2, _attribute(1, value)))


def _redirect(protocol: int, address: bytes, port: int, target: int) -> bytes:
    expressions = (
        _load(1, 16, 4, address),
        _expression("meta", _number(1, _REGISTER_1), _number(2, _META_L4PROTO)),
        _equal(bytes((protocol,))),
        _load(2, 2, 2, struct.pack("!H", port)),
        _immediate(_REGISTER_1, address),
        _immediate(_REGISTER_2, struct.pack("!H", target)),
        _expression(
            "nat",
            _number(1, _DNAT),
            _number(2, _NFPROTO_IPV4),
            _number(3, _REGISTER_1),
            _number(5, _REGISTER_2),
        ),
    )
    return _text(1, "hythe") + _text(2, "output") + _nested(4, *expressions)


def redirect_resolver(address: str, udp: int, tcp: int) -> None:
    """Lead port 53 of `address` to the ports where a resolver listens, in this namespace.

    So a program of the container may have port 53 of every address for itself. Source:
    linux/netfilter/nf_tables.h. Raises: OSError.
    """
    packed = ip_address(address).packed
    hook = _nested(4, _number(1, _LOCAL_OUT), _number(2, _DSTNAT))
    bodies = (
        (_NEWTABLE, _text(1, "hythe")),
        (_NEWCHAIN, _text(1, "hythe") + _text(3, "output") + hook + _text(7, "nat")),
        (_NEWRULE, _redirect(socket.IPPROTO_UDP, packed, 53, udp)),
        (_NEWRULE, _redirect(socket.IPPROTO_TCP, packed, 53, tcp)),
    )
    data = _batch(_NFNL_BATCH_BEGIN)
    for kind, body in bodies:
        head = struct.pack("!BBH", _NFPROTO_IPV4, 0, 0)
        data += _message(kind, head + body, NLM_F_CREATE)
    data += _batch(_NFNL_BATCH_END)
    _exchange(NETLINK_NETFILTER, data, len(bodies))


def _batch(kind: int) -> bytes:
    return struct.pack("=IHHIIBBH", 20, kind, NLM_F_REQUEST, 0, 0, 0, 0, socket.htons(10))
