"""The networking of running containers: endpoints, ports, names, and the files that tell of them.

The engine allocates; the container's supervisor makes the interfaces themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections import defaultdict
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.errors import EngineError, Forbidden, Internal, InvalidArgument, NotFound
from engine.kernel import conntrack
from engine.networks import resolver
from engine.networks.definition import plain_address
from engine.networks.dns import HOST_FILE, Names, Resolver
from engine.networks.firewall import Firewall
from engine.networks.model import (
    ENABLE_ICC,
    ENDPOINT_INTERFACE,
    ENDPOINT_SYSCTLS,
    HOST_BINDING,
    INTERFACE_PREFIX,
    RESOLVER,
    Endpoint,
    EndpointWish,
    Network,
    NetworkRequest,
    NetworkSetup,
    PortBinding,
    Sandbox,
)
from engine.networks.ports import PublishedPort, Reservations
from engine.networks.settings import blank_settings, endpoint_settings, port_settings
from engine.store.networks import SandboxTable
from engine.supervisor.spec import InterfaceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from engine.config import Settings
    from engine.core.events import EventBus
    from engine.networks.networks import Networks
    from engine.runtime.runtime import RunningContainer
    from engine.store.database import Database

log = logging.getLogger(__name__)
LARGEST_FILE = 1 << 20  # bytes of hosts or resolv.conf, which a container may write to
Routes = dict[str, tuple[str, str] | None]


class Sandboxes(Names):
    """Every running container's networking."""

    def __init__(
        self, settings: Settings, database: Database, networks: Networks, events: EventBus
    ) -> None:
        self._settings = settings
        self._events = events
        self._networks = networks
        self._table = SandboxTable(database)
        self._sandboxes: dict[str, Sandbox] = {}
        self._named: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._located: dict[str, dict[str, str]] = defaultdict(dict)
        self._reservations = Reservations()
        self._resolver = Resolver(self)
        self._closed = False
        networks.firewall = self._firewall = Firewall(settings.firewall_table)

    async def open(self, running: dict[str, RunningContainer]) -> None:
        """Bring up networks and firewall; keep what running containers have, free the rest."""
        await asyncio.to_thread(self._networks.load)
        for container_id, row in self._table.all():
            if container_id not in running:
                self._table.delete(container_id)
                continue
            sandbox = _sandbox_of(row)
            self._sandboxes[container_id] = sandbox
            for endpoint in list(sandbox.endpoints.values()):
                try:
                    network = self._networks.get(endpoint.network_id)
                except NotFound:
                    log.warning("%s is on a network that is gone", sandbox.name)
                    del sandbox.endpoints[endpoint.network_id]
                    continue
                for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                    self._networks.addresses(network).claim(address)
                self._index(sandbox, endpoint)
            self._reservations.retake(container_id, sandbox.ports)
            await self._reservations.pass_on(container_id, sandbox.ports)
        ports = {key: list(item.ports) for key, item in self._sandboxes.items()}
        await asyncio.to_thread(self._firewall.build, self._networks.all(), ports)
        self._watch_firewall()
        for sandbox in self._sandboxes.values():
            await self.answer_names(running[sandbox.container_id])

    def _watch_firewall(self) -> None:
        if not self._closed:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._firewall.fileno(), self._tables_changed)

    def _tables_changed(self) -> None:
        # In a thread, for it waits for transactions of our own; meanwhile nothing is listened to.
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._firewall.fileno())
        repair = loop.run_in_executor(None, self._firewall.repair)
        repair.add_done_callback(self._repaired)

    def _repaired(self, repair: asyncio.Future[None]) -> None:
        if not repair.cancelled() and repair.exception():
            log.error("the firewall's table could not be repaired", exc_info=repair.exception())
        self._watch_firewall()

    async def close(self) -> None:
        """Let go of sockets; devices, rules and containers stay."""
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._firewall.fileno())
        self._resolver.close()
        for container_id in list(self._sandboxes):
            self._reservations.release(container_id)
        self._firewall.close()

    def get(self, container_id: str) -> Sandbox | None:
        """Return a running container's networking."""
        return self._sandboxes.get(container_id)

    def on(self, network: Network) -> list[tuple[Sandbox, Endpoint]]:
        """Return what runs on a network."""
        return [
            (sandbox, sandbox.endpoints[network.id])
            for sandbox in self._sandboxes.values()
            if network.id in sandbox.endpoints
        ]

    # start and end

    async def allocate(self, request: NetworkRequest) -> NetworkSetup:
        """Give a container its addresses, ports and files.

        Raises: NotFound(no such network) · Forbidden(address in use) · Internal(port already
        allocated), after which nothing is held.
        """
        if request.mode in ("none", "host"):
            network = self._networks.get(request.mode)
            settings = blank_settings(network)
            return NetworkSetup((), self._write_files(request, None), settings)
        sandbox = Sandbox(
            request.container_id,
            request.name,
            request.hostname,
            secrets.token_hex(32),
            bindings=list(request.bindings),
            exposed=list(request.exposed),
            servers=list(request.dns),
        )
        # Known from the first moment, so that nobody removes a network that it is coming to.
        self._sandboxes[request.container_id] = sandbox
        try:
            for wish in request.endpoints:
                self._add(sandbox, wish)
            await self._publish(sandbox)
            self._table.save(request.container_id, sandbox.to_row())
            files = self._write_files(request, sandbox)
        except BaseException:
            await self._undo(sandbox)
            raise
        ways = self._ways(sandbox)
        interfaces = [self._interface(endpoint, ways) for endpoint in sandbox.endpoints.values()]
        named = RESOLVER if self._has_names(sandbox) else ""
        return NetworkSetup(tuple(interfaces), files, self.settings(sandbox), named)

    async def release(self, container_id: str) -> None:
        """Take back what a container was given; one that has nothing is fine."""
        sandbox = self._sandboxes.get(container_id)
        if sandbox is not None:
            await self._undo(sandbox)

    async def _undo(self, sandbox: Sandbox) -> None:
        self._sandboxes.pop(sandbox.container_id, None)
        self._resolver.stop(sandbox.container_id)
        self._reservations.release(sandbox.container_id)
        if sandbox.ports:
            await asyncio.to_thread(self._firewall.withdraw, sandbox.container_id)
            # Nobody waits for it: the address is given to others last of all.
            _in_thread(_forget_flows, sandbox.ports)
        for endpoint in list(sandbox.endpoints.values()):
            self._drop(sandbox, endpoint)
        self._table.delete(sandbox.container_id)

    def _has_names(self, sandbox: Sandbox) -> bool:
        return any(self._networks.get(key).has_names for key in sandbox.endpoints)

    async def answer_names(self, running: RunningContainer) -> None:
        """Answer a container's questions about names, when it is on a network that has any."""
        sandbox = self._sandboxes.get(running.id)
        if sandbox and self._has_names(sandbox):
            await running.open_resolver(RESOLVER)
            await self._resolver.serve(running.id, running.resolver)

    # endpoints

    def _add(self, sandbox: Sandbox, wish: EndpointWish) -> Endpoint:
        network = self._networks.named(wish.network)
        self._networks.check_stays(network)
        if network.config_only:
            raise Forbidden(f"configuration network {network.name} cannot be used by containers")
        self.check(network, wish)
        options = wish.config.get("DriverOpts") or {}
        addresses = self._networks.addresses(network)
        endpoint_id = secrets.token_hex(32)
        endpoint = Endpoint(
            network.id,
            endpoint_id,
            _interface_name(sandbox, network, options),
            "" if network.driver == "macvlan" else f"veth{endpoint_id[:7]}",
            "",
            priority=wish.priority,
            names=_names(sandbox, wish),
            links=dict(wish.links),
            config=dict(wish.config),
        )
        try:
            if network.enable_ipv4:
                endpoint.ipv4 = addresses.take(4, _plain(wish.ipv4))
            if network.enable_ipv6:
                endpoint.ipv6 = addresses.take(6, _plain(wish.ipv6))
        except BaseException:
            addresses.give_back(endpoint.ipv4)
            raise
        endpoint.mac = wish.mac or _mac(endpoint.ipv4)
        sandbox.endpoints[network.id] = endpoint
        self._index(sandbox, endpoint)
        return endpoint

    def check(self, network: Network, wish: EndpointWish) -> None:
        """Judge a wish before anything is given. Raises: InvalidArgument."""
        faults = []
        if network.is_predefined and (wish.ipv4 or wish.ipv6):
            faults.append("user specified IP address is supported on user defined networks only")
        for address, version in ((wish.ipv4, 4), (wish.ipv6, 6)):
            if not address:
                continue
            try:
                if plain_address(address).version != version:
                    raise ValueError
            except ValueError:
                faults.append(f"invalid IPv{version} address: {address}")
                continue
            chosen = [s for s in network.subnets if s.chosen and s.is_ipv6 is (version == 6)]
            if not network.is_predefined and not chosen:
                faults.append(
                    "user specified IP address is supported only when connecting to networks with "
                    "user configured subnets"
                )
            elif chosen and self._networks.addresses(network).pool_of(address) is None:
                faults.append(f"no configured subnet or ip-range contain the IP address {address}")
        if network.is_predefined and wish.aliases:
            faults.append(
                "network-scoped alias is supported only for containers in user defined networks"
            )
        if faults:
            raise InvalidArgument(
                f"invalid config for network {network.name}: invalid endpoint settings:\n"
                + "\n".join(faults)
            )

    def _drop(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        sandbox.endpoints.pop(endpoint.network_id, None)
        index = self._named[endpoint.network_id]
        for name in endpoint.names:
            index[name.lower()].discard(sandbox.container_id)
            if not index[name.lower()]:
                del index[name.lower()]
        with contextlib.suppress(NotFound):
            addresses = self._networks.addresses(self._networks.get(endpoint.network_id))
            for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                self._located[endpoint.network_id].pop(address, None)
                addresses.give_back(address)

    def _index(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        for name in endpoint.names:
            self._named[endpoint.network_id][name.lower()].add(sandbox.container_id)
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            self._located[endpoint.network_id][address] = sandbox.container_id

    def _interface(self, endpoint: Endpoint, ways: Routes) -> InterfaceSpec:
        network = self._networks.get(endpoint.network_id)
        addresses = (endpoint.ipv4, endpoint.ipv6)
        ipv4, ipv6 = (
            way[1] if (way := ways[version]) and way[0] == endpoint.interface else None
            for version in ("4", "6")
        )
        return InterfaceSpec(
            name=endpoint.interface,
            host_name=endpoint.host_name,
            parent=network.device,
            mac=endpoint.mac,
            mtu=network.mtu,
            addresses=tuple(self.cidr(network, address) for address in addresses if address),
            gateway=ipv4,
            gateway6=ipv6,
            kind="macvlan" if network.driver == "macvlan" else "veth",
            mode=network.options.get("macvlan_mode") or "bridge",
            isolated=not network.flag(ENABLE_ICC, default=True),
            sysctls=_sysctls(endpoint),
        )

    def cidr(self, network: Network, address: str) -> str:
        """Return an address with the length of its subnet's prefix; "" for none."""
        pool = self._networks.addresses(network).pool_of(address) if address else None
        return f"{address}/{pool.subnet.prefixlen}" if pool else ""

    def gateway_of(self, network: Network, address: str) -> str:
        """Return the gateway of the subnet that an address is of, "" when nothing leads out."""
        pool = self._networks.addresses(network).pool_of(address) if address else None
        if network.internal or not pool or not pool.gateway:
            return ""
        if network.driver == "macvlan" and "parent" not in network.options:
            return ""
        return str(pool.gateway)

    def _ranked(self, sandbox: Sandbox) -> list[tuple[Network, Endpoint]]:
        """Return networks and endpoints, the one that the default route goes through first."""
        pairs = [(self._networks.get(key), item) for key, item in sandbox.endpoints.items()]
        return sorted(pairs, key=lambda pair: (-pair[1].priority, pair[0].name))

    def _ways(self, sandbox: Sandbox) -> Routes:
        ways: Routes = {"4": None, "6": None}
        for network, endpoint in self._ranked(sandbox):
            for version, address in (("4", endpoint.ipv4), ("6", endpoint.ipv6)):
                gateway = self.gateway_of(network, address)
                if gateway and ways[version] is None:
                    ways[version] = (endpoint.interface, gateway)
        return ways

    # published ports

    async def _publish(self, sandbox: Sandbox) -> None:
        """Reserve the ports that are asked for, and lead them to a bridge that leads out."""
        target = self._target(sandbox)
        if target is None or not sandbox.bindings:
            return
        network, endpoint = target
        default = network.options.get(HOST_BINDING) or ""
        default = "" if default == "0.0.0.0" else default
        bindings = [replace(item, host_ip=item.host_ip or default) for item in sandbox.bindings]
        try:
            sandbox.ports = self._reservations.take(
                sandbox.container_id, bindings, endpoint.ipv4, endpoint.ipv6
            )
            await asyncio.to_thread(
                self._firewall.publish, sandbox.container_id, list(sandbox.ports)
            )
        except EngineError as error:
            if not isinstance(error, Internal):
                raise
            raise Internal(
                "failed to set up container networking: driver failed programming external "
                f"connectivity on endpoint {sandbox.name} ({endpoint.endpoint_id}): {error}"
            ) from error
        await self._reservations.pass_on(sandbox.container_id, sandbox.ports)
        _in_thread(_forget_strays, sandbox.ports)

    def _target(self, sandbox: Sandbox) -> tuple[Network, Endpoint] | None:
        for network, endpoint in self._ranked(sandbox):
            if network.driver == "bridge" and not network.internal:
                return network, endpoint
        return None

    async def _move_ports(self, sandbox: Sandbox) -> None:
        """Lead the ports where they belong after a change of networks."""
        target = self._target(sandbox)
        address4, address6 = (target[1].ipv4, target[1].ipv6) if target else ("", "")
        if not sandbox.ports and target and sandbox.bindings:
            await self._publish(sandbox)
            return
        moved = []
        for port in sandbox.ports:
            address = (address6 or address4) if ":" in port.host_ip else (address4 or address6)
            moved.append(replace(port, container_ip=address))
        if moved == sandbox.ports:
            return
        await asyncio.to_thread(self._firewall.withdraw, sandbox.container_id)
        sandbox.ports = moved
        await asyncio.to_thread(self._firewall.publish, sandbox.container_id, moved)
        await self._reservations.pass_on(sandbox.container_id, moved)
        _in_thread(_forget_strays, moved)

    # connect and disconnect

    async def connect(self, running: RunningContainer, wish: EndpointWish) -> None:
        """Put a running container on one more network. Raises: as `allocate`; then it is not."""
        sandbox = self._sandboxes[running.id]
        network = self._networks.get(wish.network)
        if network.id in sandbox.endpoints:
            raise Forbidden(
                f"endpoint with name {sandbox.name} already exists in network {network.name}"
            )
        endpoint = self._add(sandbox, wish)
        plugged = False
        try:
            ways = self._ways(sandbox)
            await running.plug(self._interface(endpoint, ways), ways)
            plugged = True
            await self._move_ports(sandbox)
            self._table.save(running.id, sandbox.to_row())
        except BaseException:
            self._drop(sandbox, endpoint)
            if plugged:
                with contextlib.suppress(EngineError):
                    await self._unplug(running, endpoint, sandbox)
            raise
        self._tell_files(sandbox, added=endpoint)
        await self.answer_names(running)

    async def disconnect(self, running: RunningContainer, network: Network) -> None:
        """Take a running container off a network that it is on."""
        sandbox = self._sandboxes[running.id]
        endpoint = sandbox.endpoints[network.id]
        del sandbox.endpoints[network.id]
        self._table.save(running.id, sandbox.to_row())
        with contextlib.suppress(EngineError):  # it may be ending right now
            await self._unplug(running, endpoint, sandbox)
        self._drop(sandbox, endpoint)  # only now may another have its address
        await self._move_ports(sandbox)
        self._table.save(running.id, sandbox.to_row())
        self._tell_files(sandbox, removed=endpoint)

    async def _unplug(
        self, running: RunningContainer, endpoint: Endpoint, sandbox: Sandbox
    ) -> None:
        await running.unplug(endpoint.interface, endpoint.host_name, self._ways(sandbox))

    def rename(self, container_id: str, name: str) -> None:
        """Let a running container be found by its new name."""
        sandbox = self._sandboxes.get(container_id)
        if sandbox is None:
            return
        for endpoint in sandbox.endpoints.values():
            index = self._named[endpoint.network_id]
            index[sandbox.name.lower()].discard(container_id)
            if not index[sandbox.name.lower()]:
                del index[sandbox.name.lower()]
            endpoint.names = [name if item == sandbox.name else item for item in endpoint.names]
            self._index(sandbox, endpoint)
        sandbox.name = name
        self._table.save(container_id, sandbox.to_row())

    # what the container and the client are told

    def settings(self, sandbox: Sandbox) -> dict[str, Any]:
        """Return Docker's NetworkSettings."""
        shown = {}
        for network, endpoint in self._ranked(sandbox):
            shown[network.name] = endpoint_settings(
                network,
                endpoint,
                self.cidr(network, endpoint.ipv4),
                self.cidr(network, endpoint.ipv6),
                self.gateway_of(network, endpoint.ipv4),
                self.gateway_of(network, endpoint.ipv6),
            )
        return port_settings(sandbox, shown)

    def _write_files(self, request: NetworkRequest, sandbox: Sandbox | None) -> dict[str, str]:
        directory = self._settings.state / "containers" / request.container_id
        directory.mkdir(parents=True, exist_ok=True, mode=0o710)
        host_text = ""
        with contextlib.suppress(FileNotFoundError):
            host_text = HOST_FILE.read_text(encoding="utf-8", errors="replace")
        addresses, named = [], ""
        if sandbox:
            for _, endpoint in self._ranked(sandbox):
                addresses += [endpoint.ipv4, endpoint.ipv6]
            named = RESOLVER if self._has_names(sandbox) else ""
        texts = {
            "hosts": resolver.hosts(request, addresses, self._host_gateway()),
            "hostname": request.hostname + "\n",
            "resolv.conf": resolver.resolv_conf(host_text, request, named),
            # What was written, to be told from what somebody made of it since.
            "resolv.conf.written": resolver.resolv_conf(host_text, request, named),
            "resolv.conf.named": resolver.resolv_conf(host_text, request, RESOLVER),
        }
        files = {}
        for name, text in texts.items():
            path = directory / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            if name in ("hosts", "hostname", "resolv.conf"):
                files[f"/etc/{name}"] = str(path)
        return files

    def _host_gateway(self) -> str:
        return next((s.gateway for s in self._networks.get("bridge").subnets if not s.is_ipv6), "")

    def _tell_files(
        self, sandbox: Sandbox, added: Endpoint | None = None, removed: Endpoint | None = None
    ) -> None:
        """Bring a running container's files up to date; what its user wrote into them stays."""
        directory = self._settings.state / "containers" / sandbox.container_id
        text = _read_small(directory / "hosts")
        if text is None:
            return  # its user made something else of it
        lines = text.removesuffix("\n").split("\n")
        if removed:
            gone = {removed.ipv4, removed.ipv6} - {""}
            own = f"\t{sandbox.hostname}"
            lines = [
                line for line in lines if not (line.split("\t")[0] in gone and line.endswith(own))
            ]
        if added:
            lines += resolver.own_lines(sandbox.hostname, "", (added.ipv4, added.ipv6))
        _rewrite(directory / "hosts", "\n".join(lines) + "\n")
        written, current = directory / "resolv.conf.written", directory / "resolv.conf"
        if self._has_names(sandbox) and _read_small(current) == _read_small(written):
            text = (directory / "resolv.conf.named").read_text(encoding="utf-8")
            for path in (current, written):
                _rewrite(path, text)

    # names

    def addresses(self, container_id: str, name: str) -> list[str] | None:
        """Return the addresses that a name means to a container, None when it is no name here."""
        sandbox = self._sandboxes.get(container_id)
        found: list[str] = []
        known = False
        for key in sandbox.endpoints if sandbox else ():
            network = self._networks.get(key)
            if not network.has_names:
                continue
            for other_id in self._meant(sandbox, network, name.lower()):
                # One that is just being started or released has a name already, or still.
                other = self._sandboxes.get(other_id)
                endpoint = other.endpoints.get(key) if other else None
                if endpoint is None:
                    continue
                known = True
                found += filter(None, (endpoint.ipv4, endpoint.ipv6))
        return found if known else None

    def _meant(self, sandbox: Sandbox | None, network: Network, name: str) -> Collection[str]:
        if sandbox is None:
            return ()
        linked = sandbox.endpoints[network.id].links.get(name)
        if linked and (other := self._sandboxes.get(linked)) and network.id in other.endpoints:
            return (linked,)
        index = self._named[network.id]
        if name in index:
            return index[name]
        short = name.removesuffix(f".{network.name.lower()}")
        return index[short] if short != name and short in index else ()

    def reverse(self, container_id: str, address: str) -> str | None:
        """Return the name of an address that a container can see."""
        sandbox = self._sandboxes.get(container_id)
        for key in sandbox.endpoints if sandbox else ():
            other = self._sandboxes.get(self._located[key].get(address, ""))
            if other:
                return f"{other.name}.{self._networks.get(key).name}"
        return None

    def is_known(self, container_id: str) -> bool:
        """Tell whether a container runs and has a network."""
        return container_id in self._sandboxes

    def servers(self, container_id: str) -> Sequence[str] | None:
        """Return the servers for other names: () for the host's, None for none at all.

        A container that nothing leads out of must not speak to the world by way of questions.
        """
        sandbox = self._sandboxes.get(container_id)
        if sandbox is None:
            return None
        pairs = [(self._networks.get(key), item) for key, item in sandbox.endpoints.items()]
        if any(not network.internal for network, _ in pairs):
            return sandbox.servers
        own = [
            server
            for server in sandbox.servers
            if any(self._networks.addresses(network).pool_of(server) for network, _ in pairs)
        ]
        return own or None


def _in_thread(work: Callable[[list[PublishedPort]], None], ports: list[PublishedPort]) -> None:
    """Do what nobody waits for, when there is anything that keeps flows without connections."""
    others = [port for port in ports if port.protocol != "tcp"]
    if others:
        asyncio.get_running_loop().run_in_executor(None, work, others)


def _forget_strays(ports: list[PublishedPort]) -> None:
    """Let flows that began while a port led nowhere be judged anew."""
    for port in {(port.protocol, port.host_port) for port in ports}:
        try:
            conntrack.forget_port(*port)
        except OSError:
            log.exception("the flows to port %s could not be forgotten", port)


def _forget_flows(ports: list[PublishedPort]) -> None:
    """Let no flow that was led to a container go on to the next one with its address."""
    for address in {port.container_ip for port in ports}:
        try:
            conntrack.forget(address)
        except OSError:
            log.exception("the flows to %s could not be forgotten", address)


def _names(sandbox: Sandbox, wish: EndpointWish) -> list[str]:
    names = (sandbox.name, *wish.aliases, sandbox.container_id[:12], sandbox.hostname)
    return list(dict.fromkeys(filter(None, names)))


def _interface_name(sandbox: Sandbox, network: Network, options: dict[str, str]) -> str:
    taken = {item.interface for item in sandbox.endpoints.values()}
    wanted = options.get(ENDPOINT_INTERFACE) or ""
    if wanted:
        if (
            wanted in taken
            or not 0 < len(wanted) < 16
            or "/" in wanted
            or wanted in ("lo", ".", "..")
        ):
            raise InvalidArgument(f"invalid or taken interface name {wanted!r}")
        return wanted
    prefix = network.options.get(INTERFACE_PREFIX) or "eth"
    return next(name for n in range(len(taken) + 1) if (name := f"{prefix}{n}") not in taken)


def _sysctls(endpoint: Endpoint) -> dict[str, str]:
    """Return the endpoint's kernel parameters, "ipv4/conf/eth0/log_martians" → "1"."""
    text = (endpoint.config.get("DriverOpts") or {}).get(ENDPOINT_SYSCTLS) or ""
    found = {}
    for item in filter(None, text.split(",")):
        name, separator, value = item.strip().partition("=")
        parts = name.split(".")
        if (
            not separator
            or len(parts) != 5
            or parts[0] != "net"
            or parts[1] not in ("ipv4", "ipv6", "mpls")
            or parts[3].upper() != "IFNAME"  # the CLI writes it small
            or os.sep in name
        ):
            raise InvalidArgument(f"invalid endpoint sysctl setting {item!r}")
        found[f"{parts[1]}/{parts[2]}/{endpoint.interface}/{parts[4]}"] = value
    return found


def _plain(address: str) -> str:
    return str(ip_address(address)) if address else ""


def _mac(ipv4: str) -> str:
    tail = ip_address(ipv4).packed if ipv4 else secrets.token_bytes(4)
    return "02:42:" + ":".join(f"{part:02x}" for part in tail)


def _read_small(path: Path) -> str | None:
    """Return a file's text; None when it is larger than a file of its kind is."""
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    return None if len(data) > LARGEST_FILE else data.decode("utf-8", "surrogateescape")


def _rewrite(path: Path, text: str) -> None:
    # In place: it is mounted into the container by its inode.
    with path.open("r+b") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.truncate()


def _sandbox_of(row: dict[str, Any]) -> Sandbox:
    return Sandbox(
        **{
            **row,
            "endpoints": {key: Endpoint(**item) for key, item in row["endpoints"].items()},
            "ports": [PublishedPort(**item) for item in row["ports"]],
            "bindings": [PortBinding(**item) for item in row["bindings"]],
        }
    )
