"""Flows that the kernel follows: forgotten when what they led to is gone."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg


_PROTOCOLS = {"udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}


def forget(address: str) -> None:
    """Forget every flow whose answers come from an address: the next packet is judged anew.

    Raises: OSError(the kernel refused).
    """
    _forget(lambda entry: _answers_from(entry) == address)


def forget_port(protocol: str, port: int) -> None:
    """Forget every flow to a port of any address. Raises: OSError(the kernel refused)."""
    wanted = (_PROTOCOLS[protocol], port)
    _forget(lambda entry: _aimed_at(entry) == wanted)


def _forget(meant: Callable[[nfct_msg], bool]) -> None:
    try:
        with NFCTSocket() as table:
            # Read to its end first: one socket answers one question at a time.
            found = [entry for entry in table.dump() if meant(entry)]
            for entry in found:
                _delete(table, entry)
    except NetlinkError as error:
        raise OSError(error.code, f"conntrack: {error.args[1]}") from error


def _aimed_at(entry: nfct_msg) -> tuple[int, int] | None:
    origin = entry.get_attr("CTA_TUPLE_ORIG")
    proto = origin.get_attr("CTA_TUPLE_PROTO") if origin else None
    if proto is None:
        return None
    return proto.get_attr("CTA_PROTO_NUM"), proto.get_attr("CTA_PROTO_DST_PORT")


def _answers_from(entry: nfct_msg) -> str | None:
    reply = entry.get_attr("CTA_TUPLE_REPLY")
    ip = reply.get_attr("CTA_TUPLE_IP") if reply else None
    if ip is None:
        return None
    found: str | None = ip.get_attr("CTA_IP_V4_SRC") or ip.get_attr("CTA_IP_V6_SRC")
    return found


def _delete(table: NFCTSocket, entry: nfct_msg) -> None:
    origin = entry.get_attr("CTA_TUPLE_ORIG")
    try:
        table.entry("del", tuple_orig=NFCTAttrTuple.from_netlink(entry["nfgen_family"], origin))
    except NetlinkError as error:
        if error.code != errno.ENOENT:  # it has ended by itself
            raise
