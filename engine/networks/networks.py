"""The networks of one engine: the default bridge, the host's own, and none."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from engine.core.errors import EngineError, Internal, NotFound, Unavailable
from engine.networks import resolver
from engine.networks.firewall import Firewall
from engine.networks.ipam import AddressPool, choose_subnet
from engine.networks.model import BRIDGE_ID, HOST_ID, NONE_ID, NetworkRequest, NetworkSetup
from engine.networks.ports import PublishedPort, Reservations
from engine.store.networks import EndpointTable
from engine.supervisor.spec import InterfaceSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import Settings
    from engine.store.database import Database

MTU = 1500
SUBNET_FACT = "default-bridge-subnet"
POOL_LOCK = Path("/run/lock/hythe-address-pools")
IDS = {"bridge": BRIDGE_ID, "host": HOST_ID, "none": NONE_ID}


class Networks:
    """Allocates addresses and ports; the supervisor makes the interfaces themselves."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._table = EndpointTable(database)
        self._endpoints: dict[str, dict[str, Any]] = {}
        self._reservations = Reservations()
        self._pool: AddressPool
        self._firewall: Firewall

    async def open(self, is_running: Callable[[str], bool]) -> None:
        """Bring up bridge and firewall; keep what running containers have, free the rest."""
        await asyncio.to_thread(self._open, is_running)

    def _open(self, is_running: Callable[[str], bool]) -> None:
        with _machine_wide_lock(), IPRoute() as netlink:
            subnet = self._make_bridge(netlink)
        self._pool = AddressPool(subnet)
        bridge = self._settings.bridge
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
        # Lets the host's own connections to 127.0.0.1:port be led to a container.
        Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("1", encoding="ascii")
        ports: list[PublishedPort] = []
        for container_id, document in self._table.all():
            if not is_running(container_id):
                self._table.delete(container_id)
                continue
            self._endpoints[container_id] = document
            self._pool.claim(IPv4Address(document["address"]))
            kept = [PublishedPort(**port) for port in document["ports"]]
            self._reservations.retake(container_id, kept)
            ports += kept
        self._firewall = Firewall(self._settings.firewall_table, bridge, str(subnet))
        self._firewall.build(ports)

    def _make_bridge(self, netlink: IPRoute) -> IPv4Network:
        name = self._settings.bridge
        found = netlink.link_lookup(ifname=name)
        if not found:
            netlink.link("add", ifname=name, kind="bridge")
            found = netlink.link_lookup(ifname=name)
        index = found[0]
        stored = self._table.fact(SUBNET_FACT)
        taken = self._host_networks(netlink, except_index=index)
        subnet = IPv4Network(stored) if stored else None
        if subnet is None or (
            not self._has_address(netlink, index, subnet) and any(subnet.overlaps(n) for n in taken)
        ):
            subnet = choose_subnet(taken)
            self._table.remember(SUBNET_FACT, str(subnet))
        gateway = str(subnet.network_address + 1)
        if not self._has_address(netlink, index, subnet):
            netlink.addr("add", index=index, address=gateway, prefixlen=subnet.prefixlen)
        netlink.link("set", index=index, state="up")
        return subnet

    def _has_address(self, netlink: IPRoute, index: int, subnet: IPv4Network) -> bool:
        gateway = str(subnet.network_address + 1)
        addresses = netlink.get_addr(index=index, family=2)
        return any(item.get_attr("IFA_ADDRESS") == gateway for item in addresses)

    def _host_networks(self, netlink: IPRoute, except_index: int) -> list[IPv4Network]:
        networks = []
        for route in netlink.get_routes(family=2):
            target = route.get_attr("RTA_DST")
            if target and route.get_attr("RTA_OIF") != except_index:
                networks.append(IPv4Network(f"{target}/{route['dst_len']}", strict=False))
        return networks

    async def close(self) -> None:
        """Let go of sockets; bridge, rules and containers stay."""
        for container_id in list(self._endpoints):
            self._reservations.release(container_id)

    def dismantle(self) -> None:
        """Remove the bridge and the firewall table, when no container is left that uses them."""
        self._firewall.remove()
        with IPRoute() as netlink:
            for index in netlink.link_lookup(ifname=self._settings.bridge):
                netlink.link("del", index=index)

    async def allocate(self, request: NetworkRequest) -> NetworkSetup:
        """Give a container its addresses, ports and files.

        Raises: NotFound(no such network) · Internal(port already allocated), after which nothing
        is held.
        """
        if request.mode not in IDS:
            raise NotFound.network(request.mode)
        if request.mode == "none":
            files = self._write_files(request, None)
            return NetworkSetup((), files, settings_of(None, request, self._pool))
        if request.mode == "host":
            files = self._write_files(request, None)
            return NetworkSetup((), files, settings_of(None, request, self._pool))
        address = self._pool.take()
        endpoint_id = secrets.token_hex(32)
        try:
            ports = self._reservations.take(request.container_id, request.bindings, str(address))
            document: dict[str, Any] = {
                "endpoint_id": endpoint_id,
                "address": str(address),
                "mac": request.mac or "02:42:" + ":".join(f"{part:02x}" for part in address.packed),
                "host_name": f"veth{endpoint_id[:7]}",
                "ports": [port.to_json() for port in ports],
                "name": request.name,
            }
            self._table.save(request.container_id, BRIDGE_ID, document)
            self._endpoints[request.container_id] = document
            if ports:
                await asyncio.to_thread(self._firewall.publish, ports)
            files = self._write_files(request, str(address))
        except EngineError as error:
            self._drop(request.container_id, address)
            if isinstance(error, Internal):
                raise Internal(
                    "driver failed programming external connectivity on endpoint "
                    f"{request.name} ({endpoint_id}): {error}"
                ) from error
            raise
        except BaseException:
            self._drop(request.container_id, address)
            raise
        interface = InterfaceSpec(
            name="eth0",
            host_name=document["host_name"],
            bridge=self._settings.bridge,
            mac=document["mac"],
            mtu=MTU,
            addresses=(f"{address}/{self._pool.subnet.prefixlen}",),
            gateway=str(self._pool.gateway),
        )
        return NetworkSetup((interface,), files, settings_of(document, request, self._pool))

    def _drop(self, container_id: str, address: IPv4Address) -> None:
        self._reservations.release(container_id)
        self._endpoints.pop(container_id, None)
        self._table.delete(container_id)
        self._pool.give_back(address)

    async def release(self, container_id: str) -> None:
        """Take back what a container was given; one that has nothing is fine."""
        document = self._endpoints.pop(container_id, None)
        if document is None:
            return
        ports = [PublishedPort(**port) for port in document["ports"]]
        self._reservations.release(container_id)
        if ports:
            await asyncio.to_thread(self._withdraw, ports)
        self._pool.give_back(IPv4Address(document["address"]))
        self._table.delete(container_id)

    def _withdraw(self, ports: list[PublishedPort]) -> None:
        try:
            self._firewall.withdraw(ports)
        except OSError as error:
            # Somebody flushed the table: what we wanted gone is gone, the rest is put back.
            if error.errno != errno.EINVAL:
                raise
            self._firewall.build(
                PublishedPort(**port) for item in self._endpoints.values() for port in item["ports"]
            )

    def _write_files(self, request: NetworkRequest, address: str | None) -> dict[str, str]:
        directory = self._settings.state / "containers" / request.container_id
        directory.mkdir(parents=True, exist_ok=True, mode=0o710)
        host_text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
        texts = {
            "hosts": resolver.hosts(request, address, str(self._pool.gateway)),
            "hostname": request.hostname + "\n",
            "resolv.conf": resolver.resolv_conf(host_text, request),
        }
        files = {}
        for name, text in texts.items():
            path = directory / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            files[f"/etc/{name}"] = str(path)
        return files

    def describe(self, reference: str) -> dict[str, Any]:
        """Return one network as the API shows it. Raises: NotFound(no such network)."""
        for name, network_id in IDS.items():
            if reference == name or (len(reference) >= 3 and network_id.startswith(reference)):
                return self._description(name)
        raise NotFound.network(reference)

    def all(self) -> list[dict[str, Any]]:
        """Return every network as the API shows it."""
        return [self._description(name) for name in IDS]

    def _description(self, name: str) -> dict[str, Any]:
        prefix = self._pool.subnet.prefixlen
        containers = {}
        config = []
        options = {}
        if name == "bridge":
            config = [{"Subnet": str(self._pool.subnet), "Gateway": str(self._pool.gateway)}]
            options = {"com.docker.network.bridge.name": self._settings.bridge}
            containers = {
                container_id: {
                    "Name": document["name"],
                    "EndpointID": document["endpoint_id"],
                    "MacAddress": document["mac"],
                    "IPv4Address": f"{document['address']}/{prefix}",
                    "IPv6Address": "",
                }
                for container_id, document in self._endpoints.items()
            }
        return {
            "Name": name,
            "Id": IDS[name],
            "Created": "1970-01-01T00:00:00Z",
            "Scope": "local",
            "Driver": "null" if name == "none" else name,
            "EnableIPv4": True,
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": None, "Config": config},
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": containers,
            "Options": options,
            "Labels": {},
        }


def settings_of(
    document: dict[str, Any] | None, request: NetworkRequest, pool: AddressPool
) -> dict[str, Any]:
    """Return Docker's NetworkSettings for what a container has; `document` None is no address."""
    ports: dict[str, list[dict[str, str]] | None] = dict.fromkeys(request.exposed)
    for port in document["ports"] if document else ():
        key = f"{port['container_port']}/{port['protocol']}"
        binding = {"HostIp": port["host_ip"], "HostPort": str(port["host_port"])}
        ports[key] = [*(ports.get(key) or []), binding]
    address = {
        "EndpointID": document["endpoint_id"] if document else "",
        "Gateway": str(pool.gateway) if document else "",
        "IPAddress": document["address"] if document else "",
        "IPPrefixLen": pool.subnet.prefixlen if document else 0,
        "MacAddress": document["mac"] if document else "",
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
    }
    network = {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": IDS[request.mode],
        "DNSNames": None,
        **address,
    }
    return {
        "Bridge": "",
        "SandboxID": document["endpoint_id"] if document else "",
        "SandboxKey": "",
        "Ports": ports if request.mode == "bridge" else {},
        **address,
        "Networks": {request.mode: network},
    }


@contextmanager
def _machine_wide_lock() -> Iterator[None]:
    """Hold off other engines while a subnet is chosen and taken."""
    POOL_LOCK.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(POOL_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    except NetlinkError as error:
        raise Unavailable(f"netlink: {error}") from error
    finally:
        os.close(fd)
