"""The three files that tell a container who it is and whom to ask for names."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.networks.model import NetworkRequest

# Where the host names only itself as a resolver, which a container cannot reach.
FALLBACK = ("8.8.8.8", "8.8.4.4")


def _rows(text: str) -> list[list[str]]:
    rows = [line.split() for line in text.splitlines() if line and line[0] not in "#;"]
    return [row for row in rows if len(row) > 1]


def nameservers(text: str) -> list[str]:
    """Return the servers that a resolv.conf names, as far as they are addresses."""
    return [row[1] for row in _rows(text) if row[0] == "nameserver" and _is_address(row[1])]


def resolv_conf(host_text: str, request: NetworkRequest, resolver: str) -> str:
    """Return a container's resolv.conf.

    Its servers are `resolver`, or what the container asked for, or the host's without loopback.
    """
    rows = _rows(host_text)
    servers = [resolver] if resolver else list(request.dns)
    if not servers:
        servers = [item for item in nameservers(host_text) if not _is_loopback(item)]
    search = list(request.dns_search) or next(
        (row[1:] for row in reversed(rows) if row[0] in ("search", "domain")), []
    )
    options = list(request.dns_options) or next(
        (row[1:] for row in reversed(rows) if row[0] == "options"), []
    )
    # A name without a dot is a container's first, and is asked for as it is.
    if resolver and not any(item.startswith("ndots:") for item in options):
        options.append("ndots:0")
    lines = [f"nameserver {server}" for server in servers or FALLBACK]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return ip_address(text.partition("%")[0]).is_loopback


def hosts(request: NetworkRequest, addresses: Iterable[str], gateway: str) -> str:
    """Return a container's hosts file; `gateway` is what "host-gateway" means.

    Raises: InvalidArgument(an extra host is not "name:address").
    """
    lines = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    for entry in (*request.extra_hosts, *request.linked_hosts):
        name, separator, target = entry.replace("=", ":", 1).partition(":")
        if not separator or not name or not target:
            raise InvalidArgument(f"bad format for add-host: {entry!r}")
        if target == "host-gateway":
            target = gateway or "127.0.0.1"
        lines.append(f"{target.strip('[]')}\t{name}")
    lines += own_lines(request.hostname, request.domainname, addresses)
    return "\n".join(lines) + "\n"


def own_lines(hostname: str, domainname: str, addresses: Iterable[str]) -> list[str]:
    """Return the lines that tell a container its own addresses."""
    names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    return [f"{address}\t{names}" for address in addresses if address]
