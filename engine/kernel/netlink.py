"""The few rtnetlink messages that a container's start needs, without a library's start-up cost.

The messages follow rtnetlink(7); everything that is not on the path of a start goes through
pyroute2 in `engine.networks`.
"""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import ip_address, ip_interface

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 17, 20, 24
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400
NLMSG_ERROR = 2
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER = 1, 3, 4, 10
IFLA_LINKINFO, IFLA_NET_NS_PID = 18, 19
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02
RTA_OIF, RTA_GATEWAY = 4, 5
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


def new_default_route(index: int, gateway: str) -> bytes:
    """Return the message that routes everything through `gateway`."""
    address = ip_address(gateway)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = (RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST)
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, *kind, 0)
    body += _attribute(RTA_GATEWAY, address.packed)
    body += _attribute(RTA_OIF, struct.pack("=I", index))
    return _message(RTM_NEWROUTE, body, NLM_F_CREATE | NLM_F_EXCL)


def disable_ipv6(interface: str) -> None:
    """Give an interface of this network namespace no IPv6; a kernel without IPv6 is fine.

    Its solicitations and reports would be flooded to every other port of its bridge.
    """
    try:
        with open(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6", "w") as file:
            file.write("1")
    except FileNotFoundError:
        return


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    header = struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 0, 0)
    return header + body


def send(messages: list[bytes]) -> None:
    """Send all messages at once in the caller's network namespace and wait for every answer.

    Raises: OSError(errno) of the first one that the kernel refused.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as link:
        link.bind((0, 0))
        link.send(b"".join(messages))
        answered = 0
        failure = 0
        while answered < len(messages):
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
