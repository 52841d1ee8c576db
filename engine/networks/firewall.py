"""This engine's own nftables table: masquerading, isolation and published ports.

Shape: published ports are two maps, so that the cost of a packet does not grow with them:
       `any` (protocol . port) and `addressed` (address . protocol . port) lead to a container's
       address and port. No rule outside the table is ever read or changed.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from engine.kernel.nftables import Nftables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.networks.ports import PublishedPort


class Firewall:
    """The table of one engine and its default bridge."""

    def __init__(self, table: str, bridge: str, subnet: str) -> None:
        self._table = table
        self._bridge = bridge
        self._subnet = subnet
        self._nftables = Nftables()
        self._lock = Lock()

    def build(self, ports: Iterable[PublishedPort]) -> None:
        """Replace the table, with the ports of running containers, in one transaction."""
        name, bridge, subnet = self._table, self._bridge, self._subnet
        rules = f"""
        add table ip {name}
        delete table ip {name}
        table ip {name} {{
          map any {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
          map addressed {{
            type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;
          }}
          chain publish {{
            dnat ip to ip daddr . meta l4proto . th dport map @addressed
            dnat ip to meta l4proto . th dport map @any
          }}
          chain prerouting {{
            type nat hook prerouting priority dstnat; policy accept;
            meta l4proto {{ tcp, udp }} fib daddr type local jump publish
          }}
          chain output {{
            type nat hook output priority -100; policy accept;
            meta l4proto {{ tcp, udp }} fib daddr type local jump publish
          }}
          chain postrouting {{
            type nat hook postrouting priority srcnat; policy accept;
            ip saddr {subnet} oifname != "{bridge}" masquerade
            oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
            oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade
          }}
          chain loopback {{
            type filter hook prerouting priority raw; policy accept;
            iifname != "lo" ip daddr 127.0.0.0/8 drop
            iifname "{bridge}" ip saddr != {subnet} drop
          }}
          chain forward {{
            type filter hook forward priority filter; policy accept;
            oifname "{bridge}" ct state established,related accept
            oifname "{bridge}" iifname "{bridge}" accept
            oifname "{bridge}" ct status dnat accept
            oifname "{bridge}" drop
          }}
        }}
        """
        with self._lock:
            self._nftables.run(rules + "\n".join(self._element("add", port) for port in ports))

    def publish(self, ports: Iterable[PublishedPort]) -> None:
        """Lead ports to their container, all or none."""
        self._change("add", ports)

    def withdraw(self, ports: Iterable[PublishedPort]) -> None:
        """Lead ports nowhere again."""
        self._change("delete", ports)

    def _change(self, verb: str, ports: Iterable[PublishedPort]) -> None:
        commands = "\n".join(self._element(verb, port) for port in ports)
        if commands:
            with self._lock:
                self._nftables.run(commands)

    def _element(self, verb: str, port: PublishedPort) -> str:
        target = f"{port.container_ip} . {port.container_port}"
        key = f"{port.protocol} . {port.host_port}"
        if port.host_ip in ("", "0.0.0.0"):
            return f"{verb} element ip {self._table} any {{ {key} : {target} }}"
        key = f"{port.host_ip} . {key}"
        return f"{verb} element ip {self._table} addressed {{ {key} : {target} }}"

    def remove(self) -> None:
        """Take the whole table away."""
        with self._lock:
            self._nftables.run(f"add table ip {self._table}\ndelete table ip {self._table}")
