"""The types that fields of a container's request must have, judged before anything reads them.

Shape: as the API's definitions ContainerConfig, HostConfig, Mount and HealthConfig; a field may
       always be null, and an unknown one is left to nobody.
"""

from __future__ import annotations

from typing import Any

from engine.core.errors import InvalidArgument

_WORDS = {
    str: "a string",
    int: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _fields(kind: type, names: str) -> dict[str, type]:
    return dict.fromkeys(names.split(), kind)


_CONFIG: dict[str, type] = {
    **_fields(str, "Hostname Domainname User Image WorkingDir MacAddress StopSignal"),
    **_fields(bool, "AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce"),
    **_fields(bool, "NetworkDisabled ArgsEscaped"),
    **_fields(int, "StopTimeout"),
    **_fields(list, "Env OnBuild Shell"),
    **_fields(dict, "ExposedPorts Volumes Labels Healthcheck HostConfig NetworkingConfig"),
}
_HOST_CONFIG: dict[str, type] = {
    **_fields(str, "NetworkMode PidMode IpcMode UTSMode CgroupnsMode UsernsMode CgroupParent"),
    **_fields(str, "VolumeDriver Runtime Isolation CpusetCpus CpusetMems ContainerIDFile Cgroup"),
    **_fields(bool, "AutoRemove Privileged PublishAllPorts ReadonlyRootfs Init OomKillDisable"),
    **_fields(int, "Memory MemorySwap MemoryReservation MemorySwappiness KernelMemory NanoCpus"),
    **_fields(int, "CpuShares CpuQuota CpuPeriod CpuRealtimePeriod CpuRealtimeRuntime PidsLimit"),
    **_fields(int, "BlkioWeight OomScoreAdj ShmSize KernelMemoryTCP CpuCount CpuPercent"),
    **_fields(list, "Binds CapAdd CapDrop GroupAdd Links SecurityOpt VolumesFrom Dns DnsOptions"),
    **_fields(list, "DnsSearch ExtraHosts DeviceCgroupRules MaskedPaths ReadonlyPaths"),
    **_fields(list, "Devices DeviceRequests Ulimits Mounts BlkioWeightDevice ConsoleSize"),
    **_fields(list, "BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps"),
    **_fields(list, "BlkioDeviceWriteIOps"),
    **_fields(dict, "PortBindings RestartPolicy LogConfig Tmpfs Sysctls StorageOpt Annotations"),
}
# What the members of a list, or the values of an object, must be.
_MEMBERS: dict[str, type] = {
    **_fields(str, "Env OnBuild Shell Binds CapAdd CapDrop GroupAdd Links SecurityOpt Dns"),
    **_fields(str, "VolumesFrom DnsOptions DnsSearch ExtraHosts DeviceCgroupRules MaskedPaths"),
    **_fields(str, "ReadonlyPaths Labels Tmpfs Sysctls StorageOpt Annotations"),
    **_fields(int, "ConsoleSize"),
    **_fields(dict, "Devices DeviceRequests Ulimits Mounts BlkioWeightDevice BlkioDeviceReadBps"),
    **_fields(dict, "BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps"),
    **_fields(list, "PortBindings"),
}
_INNER: dict[str, dict[str, type]] = {
    "Mounts": {
        **_fields(str, "Type Source Target Consistency"),
        **_fields(bool, "ReadOnly"),
        **_fields(dict, "BindOptions VolumeOptions TmpfsOptions ImageOptions"),
    },
    "Devices": _fields(str, "PathOnHost PathInContainer CgroupPermissions"),
    "Ulimits": {"Name": str, "Soft": int, "Hard": int},
    **{name: {"Path": str, "Rate": int} for name in _MEMBERS if name.startswith("BlkioDevice")},
    "BlkioWeightDevice": {"Path": str, "Weight": int},
    "RestartPolicy": {"Name": str, "MaximumRetryCount": int},
    "LogConfig": {"Type": str, "Config": dict},
    "Healthcheck": {
        **_fields(list, "Test"),
        **_fields(int, "Interval Timeout Retries StartPeriod StartInterval"),
    },
    "NetworkingConfig": {"EndpointsConfig": dict},
}
_NEEDED = {
    "Devices": ("PathOnHost",),
    "Ulimits": ("Name", "Soft", "Hard"),
    "BlkioWeightDevice": ("Path", "Weight"),
    **{name: ("Path", "Rate") for name in _MEMBERS if name.startswith("BlkioDevice")},
}


def check_create(body: dict[str, Any]) -> None:
    """Judge the types of a create request. Raises: InvalidArgument, naming the field."""
    _check(body, _CONFIG, "")
    for name in ("Cmd", "Entrypoint"):
        if isinstance(body.get(name), str):
            body[name] = [body[name]]  # Docker takes a bare string for a list of one
        _check_one(body.get(name), list, name)
        _check_members(body.get(name), str, name)
    check_host_config(body.get("HostConfig") or {})
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    for name, endpoint in endpoints.items():
        check_endpoint(endpoint, f"EndpointsConfig.{name}")


def check_host_config(host: dict[str, Any]) -> None:
    """Judge the types of HostConfig, or of an update's body. Raises: InvalidArgument."""
    _check(host, _HOST_CONFIG, "HostConfig.")
    for bindings in (host.get("PortBindings") or {}).values():
        _check_members(bindings, dict, "PortBindings")
    for mount in host.get("Mounts") or ():
        for name in ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"):
            _check_one(mount.get(name), dict, f"Mounts.{name}")


_ENDPOINT: dict[str, type] = {
    **_fields(str, "MacAddress NetworkID EndpointID Gateway IPAddress IPv6Gateway"),
    **_fields(int, "GwPriority IPPrefixLen"),
    **_fields(list, "Links Aliases"),
    **_fields(dict, "IPAMConfig DriverOpts"),
}
_NETWORK: dict[str, type] = {
    **_fields(str, "Name Driver Scope"),
    **_fields(bool, "CheckDuplicate Internal Attachable Ingress ConfigOnly EnableIPv4 EnableIPv6"),
    **_fields(dict, "ConfigFrom IPAM Options Labels"),
}
_IPAM_CONFIG: dict[str, type] = {
    **_fields(str, "Subnet IPRange Gateway"),
    **_fields(dict, "AuxiliaryAddresses"),
}


def check_endpoint(endpoint: Any, where: str) -> None:
    """Judge the types of an EndpointSettings. Raises: InvalidArgument."""
    _check_one(endpoint, dict, where)
    if not endpoint:
        return
    _check(endpoint, _ENDPOINT, f"{where}.")
    for name in ("Links", "Aliases", "DriverOpts"):
        _check_members(endpoint.get(name), str, f"{where}.{name}")
    addresses = endpoint.get("IPAMConfig") or {}
    _check(addresses, _fields(str, "IPv4Address IPv6Address"), f"{where}.IPAMConfig.")
    _check_one(addresses.get("LinkLocalIPs"), list, f"{where}.IPAMConfig.LinkLocalIPs")
    _check_members(addresses.get("LinkLocalIPs"), str, f"{where}.IPAMConfig.LinkLocalIPs")


def check_network(body: dict[str, Any]) -> None:
    """Judge the types of a network's create request. Raises: InvalidArgument."""
    _check(body, _NETWORK, "")
    for name in ("Options", "Labels"):
        _check_members(body.get(name), str, name)
    _check((body.get("ConfigFrom") or {}), {"Network": str}, "ConfigFrom.")
    ipam = body.get("IPAM") or {}
    _check(ipam, {"Driver": str, "Options": dict, "Config": list}, "IPAM.")
    _check_members(ipam.get("Options"), str, "IPAM.Options")
    _check_members(ipam.get("Config"), dict, "IPAM.Config")
    for config in ipam.get("Config") or ():
        _check(config, _IPAM_CONFIG, "IPAM.Config.")
        _check_members(config.get("AuxiliaryAddresses"), str, "IPAM.Config.AuxiliaryAddresses")


def check_connect(body: dict[str, Any]) -> None:
    """Judge the types of a request to connect or disconnect. Raises: InvalidArgument."""
    _check(body, {"Container": str, "Force": bool}, "")
    check_endpoint(body.get("EndpointConfig"), "EndpointConfig")


def check_volume(body: dict[str, Any]) -> None:
    """Judge the types of a volume's create request. Raises: InvalidArgument."""
    fields = {**_fields(str, "Name Driver"), **_fields(dict, "DriverOpts Labels ClusterVolumeSpec")}
    _check(body, fields, "")
    for name in ("DriverOpts", "Labels"):
        _check_members(body.get(name), str, name)


def check_exec(body: dict[str, Any]) -> None:
    """Judge the types of an exec request. Raises: InvalidArgument."""
    fields = {
        **_fields(bool, "AttachStdin AttachStdout AttachStderr Tty Privileged Detach"),
        **_fields(str, "User WorkingDir DetachKeys"),
        **_fields(list, "Cmd Env ConsoleSize"),
    }
    _check(body, fields, "")
    _check_members(body.get("Cmd"), str, "Cmd")


def _check(values: dict[str, Any], fields: dict[str, type], where: str) -> None:
    for name, kind in fields.items():
        value = values.get(name)
        _check_one(value, kind, where + name)
        if value and name in _MEMBERS:
            _check_members(value, _MEMBERS[name], where + name)
        if value and name in _INNER:
            for item in value if isinstance(value, list) else [value]:
                _check(item, _INNER[name], f"{where}{name}.")
                for needed in _NEEDED.get(name, ()):
                    if item.get(needed) is None:
                        raise InvalidArgument(f"invalid JSON: {where}{name}.{needed} is missing")


def _check_one(value: Any, kind: type, name: str) -> None:
    # A number is no truth value here, though Python's bool is a number.
    fits = isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
    if value is not None and not fits:
        raise InvalidArgument(f"invalid JSON: {name} must be {_WORDS[kind]}")


def _check_members(value: Any, kind: type, name: str) -> None:
    for item in value.values() if isinstance(value, dict) else value or ():
        if item is None and kind is list:
            continue
        if not isinstance(item, kind):
            raise InvalidArgument(f"invalid JSON: each of {name} must be {_WORDS[kind]}")


def check_size(rows: int, columns: int) -> None:
    """Refuse what a terminal cannot be. Raises: InvalidArgument."""
    if not (0 <= rows <= 0xFFFF and 0 <= columns <= 0xFFFF):
        raise InvalidArgument(f"invalid terminal size: {rows} rows, {columns} columns")
