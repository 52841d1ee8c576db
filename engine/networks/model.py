"""Networks, endpoints, and what a container asks of them and gets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.networks.ports import PublishedPort
    from engine.supervisor.spec import InterfaceSpec

# Networks that every engine has; their IDs never change, so they can be told from any instance.
BRIDGE_ID = "b0" * 32
HOST_ID = "b1" * 32
NONE_ID = "b2" * 32
PREDEFINED = {"bridge": BRIDGE_ID, "host": HOST_ID, "none": NONE_ID}
RESOLVER = "127.0.0.11"  # where containers on networks with names ask for them

BRIDGE_NAME = "com.docker.network.bridge.name"
ENABLE_ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
DRIVER_MTU = "com.docker.network.driver.mtu"
INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"
ENDPOINT_INTERFACE = "com.docker.network.endpoint.ifname"
ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls"


@dataclass(frozen=True)
class Subnet:
    """One IPAM configuration: CIDR strings and bare addresses; `chosen` by the user himself."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)
    chosen: bool = True

    @property
    def is_ipv6(self) -> bool:
        """Tell the family."""
        return ":" in self.subnet

    def to_json(self) -> dict[str, Any]:
        """Return Docker's description."""
        shown: dict[str, Any] = {"Subnet": self.subnet}
        if self.ip_range:
            shown["IPRange"] = self.ip_range
        if self.gateway:
            shown["Gateway"] = self.gateway
        if self.auxiliary:
            shown["AuxiliaryAddresses"] = self.auxiliary
        return shown


@dataclass
class Network:
    """One network; `made` tells whether its device is ours to remove."""

    id: str
    name: str
    driver: str
    created: str
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: dict[str, str] = field(default_factory=dict)
    subnets: list[Subnet] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    config_only: bool = False
    config_from: str = ""
    made: bool = True

    def to_row(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Network:
        """Return the network that `to_row` was of."""
        return cls(**{**row, "subnets": [Subnet(**item) for item in row["subnets"]]})

    @property
    def is_predefined(self) -> bool:
        """Tell whether every engine has it."""
        return self.id in PREDEFINED.values()

    @property
    def has_names(self) -> bool:
        """Tell whether containers on it find each other by name."""
        return not self.is_predefined

    @property
    def device(self) -> str:
        """Return the bridge, or the device that macvlans stand on."""
        if self.driver == "macvlan":
            return self.options.get("parent") or f"dm-{self.id[:12]}"
        return self.options.get(BRIDGE_NAME) or f"br-{self.id[:12]}"

    @property
    def mtu(self) -> int:
        """Return the MTU of its interfaces; 0 leaves a macvlan its parent's."""
        return int(self.options.get(DRIVER_MTU) or (0 if self.driver == "macvlan" else 1500))

    def flag(self, option: str, *, default: bool) -> bool:
        """Return an option of yes or no."""
        value = self.options.get(option)
        return default if value is None else value.lower() in ("1", "t", "true")


@dataclass(frozen=True)
class PortBinding:
    """One wish to publish: `host_port` 0 lets the engine choose."""

    container_port: int
    protocol: str
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0  # inclusive end of a range; 0 means just host_port


@dataclass(frozen=True)
class EndpointWish:
    """How a container wants to be on one network; `network` is a name or an ID.

    Shape: `config` is what Docker's inspection shows again: IPAMConfig, Links, Aliases, DriverOpts.
           `links` maps names to containers' IDs.
    """

    network: str
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkRequest:
    """What a container asks for at its start."""

    container_id: str
    name: str
    hostname: str
    domainname: str = ""
    mode: str = "bridge"  # "host", "none", or the network that it is on first
    endpoints: tuple[EndpointWish, ...] = ()
    bindings: tuple[PortBinding, ...] = ()
    exposed: tuple[str, ...] = ()  # "80/tcp", shown as unpublished
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    linked_hosts: tuple[str, ...] = ()


@dataclass
class Endpoint:
    """A running container on one network. Addresses are bare, "" for none."""

    network_id: str
    endpoint_id: str
    interface: str
    host_name: str
    mac: str
    ipv4: str = ""
    ipv6: str = ""
    priority: int = 0
    names: list[str] = field(default_factory=list)  # by which others find it
    links: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


@dataclass
class Sandbox:
    """All networking of one running container.

    Shape: `endpoints` by network ID; `bindings` are the wishes that `ports` came from;
           `servers` are resolvers that the container asked for itself.
    """

    container_id: str
    name: str
    hostname: str
    sandbox_id: str
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    ports: list[PublishedPort] = field(default_factory=list)
    bindings: list[PortBinding] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)

    def to_row(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class NetworkSetup:
    """What a container got.

    Shape: `files` maps paths inside the container to files on the host to bind there;
           `settings` is Docker's NetworkSettings; `resolver` is where it asks for names, "" for
           the servers in its resolv.conf.
    """

    interfaces: tuple[InterfaceSpec, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    resolver: str = ""
