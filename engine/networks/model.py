"""What a container asks of networking and what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.supervisor.spec import InterfaceSpec

# Networks that every engine has; their IDs never change, so they can be told from any instance.
BRIDGE_ID = "b0" * 32
HOST_ID = "b1" * 32
NONE_ID = "b2" * 32


@dataclass(frozen=True)
class PortBinding:
    """One wish to publish: `host_port` 0 lets the engine choose."""

    container_port: int
    protocol: str
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0  # inclusive end of a range; 0 means just host_port


@dataclass(frozen=True)
class NetworkRequest:
    """What a container asks for at its start."""

    container_id: str
    name: str
    hostname: str
    domainname: str = ""
    mode: str = "bridge"  # "bridge", "none", "host"
    mac: str = ""
    bindings: tuple[PortBinding, ...] = ()
    exposed: tuple[str, ...] = ()  # "80/tcp", shown as unpublished
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkSetup:
    """What a container got.

    Shape: `files` maps paths inside the container to files on the host to bind there;
           `settings` is Docker's NetworkSettings.
    """

    interfaces: tuple[InterfaceSpec, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
