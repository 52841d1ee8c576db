"""The three files that tell a container who it is and whom to ask for names."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.core.errors import InvalidArgument

if TYPE_CHECKING:
    from engine.networks.model import NetworkRequest

# Where the host names only itself as a resolver, which a container cannot reach.
FALLBACK = ("8.8.8.8", "8.8.4.4")


def resolv_conf(host_text: str, request: NetworkRequest) -> str:
    """Return a container's resolv.conf: its own wishes, else the host's without loopback."""
    rows = [line.split() for line in host_text.splitlines() if line and line[0] not in "#;"]
    rows = [row for row in rows if len(row) > 1]
    servers = list(request.dns) or [
        row[1] for row in rows if row[0] == "nameserver" and not _is_loopback(row[1])
    ]
    search = list(request.dns_search) or next(
        (row[1:] for row in reversed(rows) if row[0] in ("search", "domain")), []
    )
    options = list(request.dns_options) or next(
        (row[1:] for row in reversed(rows) if row[0] == "options"), []
    )
    lines = [f"nameserver {server}" for server in servers or FALLBACK]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return True  # not an address at all: of no use to a container either


def hosts(request: NetworkRequest, address: str | None, gateway: str | None) -> str:
    """Return a container's hosts file.

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
    for entry in request.extra_hosts:
        name, separator, target = entry.replace("=", ":", 1).partition(":")
        if not separator or not name or not target:
            raise InvalidArgument(f"bad format for add-host: {entry!r}")
        if target == "host-gateway":
            target = gateway or "127.0.0.1"
        lines.append(f"{target.strip('[]')}\t{name}")
    if address:
        names = [request.hostname]
        if request.domainname:
            names.insert(0, f"{request.hostname}.{request.domainname}")
        lines.append(f"{address}\t{' '.join(names)}")
    return "\n".join(lines) + "\n"
