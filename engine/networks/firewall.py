"""This engine's own nftables table: masquerading, isolation and published ports.

Shape: every network and every published port is an element of a set or map, so that neither the
       cost of a packet nor that of a change grows with their number. No rule outside the table is
       ever read or changed, and the table is built anew when somebody flushes it.
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

from engine.kernel.nftables import Generations, Nftables
from engine.networks.model import ENABLE_ICC, MASQUERADE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.networks.model import Network
    from engine.networks.ports import PublishedPort

log = logging.getLogger(__name__)

_RULES = """
add table inet {name}
delete table inet {name}
table inet {name} {{
  set bridges {{ type ifname; }}
  set guarded {{ type ifname; }}
  set internal {{ type ifname; }}
  set same {{ type ifname . ifname; }}
  set sources {{ type ifname . ipv4_addr; flags interval; }}
  set sources6 {{ type ifname . ipv6_addr; flags interval; }}
  set natted {{ type ipv4_addr; flags interval; }}
  set natted6 {{ type ipv6_addr; flags interval; }}
  map any {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map any6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
  map addressed {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  map addressed6 {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
  chain publish {{
    dnat ip to ip daddr . meta l4proto . th dport map @addressed
    dnat ip to meta l4proto . th dport map @any
    # IPv6 has no way from its loopback to elsewhere: what comes there is passed on by the engine.
    ip6 daddr ::1 return
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @addressed6
    dnat ip6 to meta l4proto . th dport map @any6
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto {{ tcp, udp, sctp }} fib daddr type local jump publish
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    meta l4proto {{ tcp, udp, sctp }} fib daddr type local jump publish
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr @natted oifname . ip saddr != @sources masquerade
    ip6 saddr @natted6 oifname . ip6 saddr != @sources6 masquerade
    oifname @bridges ip saddr 127.0.0.0/8 masquerade
    oifname . ip saddr @sources ct status dnat masquerade
    oifname . ip6 saddr @sources6 ct status dnat masquerade
  }}
  chain arriving {{
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    # Not on a bridge that was there before us: the world may come in through it.
    iifname @guarded meta nfproto ipv4 iifname . ip saddr != @sources drop
    iifname @guarded ip6 saddr {{ ::, fe80::/10 }} accept
    iifname @guarded meta nfproto ipv6 iifname . ip6 saddr != @sources6 drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname . oifname @same accept
    iifname @internal drop
    oifname @internal drop
    oifname @bridges ct state established,related accept
    oifname @bridges ct status dnat accept
    oifname @bridges drop
  }}
}}
"""


class Firewall:
    """The table of one engine, and what belongs into it: by owner, a network or a container."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._owned: dict[str, list[tuple[str, str]]] = {}
        self._nftables = Nftables()
        self._generations = Generations(table)
        # Held over every transaction: while it is not, all that were ours are known as such.
        self._lock = Lock()
        self._closed = False

    def build(self, networks: Iterable[Network], ports: dict[str, list[PublishedPort]]) -> None:
        """Make the table anew with every network, and every port by its container."""
        with self._lock:
            self._owned = {network.id: _elements(network) for network in networks}
            self._owned |= {key: _all_elements(found) for key, found in ports.items()}
            self._rebuild()

    def add_network(self, network: Network) -> None:
        """Let a network's packets through, as far as it may."""
        self._add(network.id, _elements(network))

    def remove_network(self, network: Network) -> None:
        """Forget a network."""
        self._take(network.id)

    def publish(self, container_id: str, ports: Iterable[PublishedPort]) -> None:
        """Lead ports to their container, all or none."""
        self._add(container_id, _all_elements(ports))

    def withdraw(self, container_id: str) -> None:
        """Lead a container's ports nowhere again; one that has none is fine."""
        self._take(container_id)

    def _add(self, owner: str, elements: list[tuple[str, str]]) -> None:
        with self._lock:
            self._owned[owner] = elements
            try:
                try:
                    self._run(self._commands("add", elements))
                except OSError:
                    log.warning("the firewall's table was not as it was left: it is made anew")
                    self._rebuild()
            except OSError:
                del self._owned[owner]
                raise

    def _take(self, owner: str) -> None:
        with self._lock:
            elements = self._owned.pop(owner, [])
            try:
                self._run(self._commands("delete", elements))
            except OSError:
                log.warning("the firewall's table was not as it was left: it is made anew")
                self._rebuild()

    def _rebuild(self) -> None:
        elements = [item for owned in self._owned.values() for item in owned]
        self._run(_RULES.format(name=self._table) + self._commands("add", elements))

    def _commands(self, verb: str, elements: Iterable[tuple[str, str]]) -> str:
        name = self._table
        return "\n".join(f"{verb} element inet {name} {place} {{ {e} }}" for place, e in elements)

    def _run(self, commands: str) -> None:
        if commands and not self._closed:
            with self._generations.own():
                self._nftables.run(commands)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when any table changes."""
        return self._generations.fileno()

    def repair(self) -> None:
        """Read what happened, and put back what somebody else took out of the table."""
        with self._lock:
            if not self._closed and self._generations.was_damaged():
                self._rebuild()

    def remove(self) -> None:
        """Take the whole table away."""
        with self._lock:
            self._run(f"add table inet {self._table}\ndelete table inet {self._table}")

    def close(self) -> None:
        """Let go of netlink; the table stays."""
        with self._lock:
            self._closed = True
            self._generations.close()
            self._nftables.close()


def _all_elements(ports: Iterable[PublishedPort]) -> list[tuple[str, str]]:
    return [item for port in ports for item in _port_elements(port)]


def _elements(network: Network) -> list[tuple[str, str]]:
    if network.driver != "bridge" or network.config_only:
        return []
    device = f'"{network.device}"'
    elements = [("bridges", device)]
    if network.made:
        elements.append(("guarded", device))
    if network.internal:
        elements.append(("internal", device))
    # Through the host, a packet would go round the ports' isolation.
    if network.flag(ENABLE_ICC, default=True):
        elements.append(("same", f"{device} . {device}"))
    for subnet in network.subnets:
        six = "6" if subnet.is_ipv6 else ""
        elements.append((f"sources{six}", f"{device} . {subnet.subnet}"))
        if network.flag(MASQUERADE, default=True) and not network.internal:
            elements.append((f"natted{six}", subnet.subnet))
    return elements


def _port_elements(port: PublishedPort) -> list[tuple[str, str]]:
    if not port.container_ip or (":" in port.container_ip) != (":" in port.host_ip):
        return []  # passed on by the engine, from its own socket
    six = "6" if ":" in port.host_ip else ""
    target = f"{port.container_ip} . {port.container_port}"
    key = f"{port.protocol} . {port.host_port}"
    if port.host_ip in ("0.0.0.0", "::"):
        return [(f"any{six}", f"{key} : {target}")]
    return [(f"addressed{six}", f"{port.host_ip} . {key} : {target}")]
