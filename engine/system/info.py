"""Facts for /info and /version: what this engine is, on what machine."""

from __future__ import annotations

import os
import platform as machine
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.containers.model import State
from engine.core import clock
from engine.kernel import apparmor
from engine.kernel.cgroups import hierarchies

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.containers.deps import Containers

VERSION = "0.1.0"
API_VERSION = "1.51"
MINIMUM_API_VERSION = "1.24"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@cache
def _release() -> dict[str, str]:
    return machine.freedesktop_os_release()


def version() -> dict[str, Any]:
    """Return the answer of /version."""
    kernel = os.uname()
    details = {
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MINIMUM_API_VERSION,
        "Arch": _ARCHITECTURES.get(kernel.machine, kernel.machine),
        "Os": "linux",
        "KernelVersion": kernel.release,
        "GitCommit": "",
        "GoVersion": "",
        "BuildTime": "",
    }
    component = {"Name": "Engine", "Version": VERSION, "Details": details}
    return {
        "Platform": {"Name": "Hythe Engine"},
        "Components": [component],
        "Version": VERSION,
        **details,
    }


def info(settings: Settings, containers: Containers, engine_id: str) -> dict[str, Any]:
    """Return the answer of /info."""
    kernel, found = os.uname(), hierarchies()
    states = [item.state for item in containers.by_id.values()]
    driver = "none" if not found.all() else "cgroupfs"
    return {
        "ID": engine_id,
        "Containers": len(states),
        "ContainersRunning": states.count(State.RUNNING),
        "ContainersPaused": states.count(State.PAUSED),
        "ContainersStopped": sum(state not in (State.RUNNING, State.PAUSED) for state in states),
        "Images": len(containers.images.all()),
        "Driver": "overlay2",
        "DriverStatus": [
            ["Backing Filesystem", "overlayfs upper"],
            ["Native Overlay Diff", "true"],
        ],
        "SystemTime": clock.stamp(),
        "LoggingDriver": "json-file",
        "CgroupDriver": driver,
        "CgroupVersion": "2" if found.controllers else "1",
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": found.find("memory") is not None,
        "SwapLimit": found.find("memory") is not None,
        "CpuCfsPeriod": found.find("cpu") is not None,
        "CpuCfsQuota": found.find("cpu") is not None,
        "CPUShares": found.find("cpu") is not None,
        "CPUSet": found.find("cpuset") is not None,
        "PidsLimit": found.find("pids") is not None,
        "IPv4Forwarding": True,
        "Debug": False,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": 0,
        "NEventsListener": 0,
        "KernelVersion": kernel.release,
        "OperatingSystem": _release().get("PRETTY_NAME", "Linux"),
        "OSVersion": _release().get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": kernel.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
            "IndexConfigs": {},
            "Mirrors": None,
        },
        "DockerRootDir": str(settings.state),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": socket.gethostname(),
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": VERSION,
        "Runtimes": {"hythe": {"path": "hythe"}},
        "DefaultRuntime": "hythe",
        "Swarm": {"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": False},
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "docker-init",
        "SecurityOptions": [
            *(["name=apparmor"] if apparmor.default_profile() else []),
            "name=seccomp,profile=builtin",
            *(["name=userns"] if settings.id_map else []),
        ],
        "Warnings": containers.runtime.warnings,
    }
