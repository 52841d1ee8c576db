"""What a client wrote into Config and HostConfig, judged and turned into the runtime's words.

Nothing is silently ignored: a field that cannot work here is refused by name.
"""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.containers import limits
from engine.containers.mounts import mounts_wanted
from engine.core.errors import InvalidArgument, Unsupported
from engine.kernel import apparmor
from engine.kernel.process import CAPABILITIES
from engine.networks.definition import plain_address
from engine.networks.model import ENDPOINT_INTERFACE, ENDPOINT_SYSCTLS, PortBinding

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW "
        "SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
    ).split()
)
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
INIT = "/usr/bin/tini-static"  # reaps orphans as a container's first process
DEFAULT_SHM = 64 * 1024 * 1024

_SYSCTLS = re.compile(
    r"net\..+|fs\.mqueue\..+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|"
    r"shm_rmid_forced|domainname)"
)
_SIGNALS = {item.name: int(item) for item in signal.Signals}
_SIGNALS |= {f"SIGRTMIN+{step}": signal.SIGRTMIN + step for step in range(16)}
_SIGNALS |= {f"SIGRTMAX-{step}": signal.SIGRTMAX - step for step in range(15)}
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


def signal_number(text: str | int | None, default: str = "SIGTERM") -> int:
    """Return a signal's number for "9", "KILL" or "SIGKILL". Raises: InvalidArgument."""
    word = str(text or default).upper()
    if word.isdigit():
        number = int(word)
    else:
        name = word if word.startswith("SIG") else f"SIG{word}"
        number = _SIGNALS.get(name, 0)
    if not 0 < number <= 64:
        raise InvalidArgument(f"invalid signal: {text}")
    return number


def validate(config: dict[str, Any], host: dict[str, Any], group: str) -> list[str]:
    """Judge a whole request; return warnings. Raises: InvalidArgument, Unsupported.

    `group` is the cgroup below which the container will have its own. After: limits that this
    kernel cannot hold are taken out of `host`, each with a warning.
    """
    _check_process(config)
    _check_platform(host)
    check_modes(config, host)
    limits.resources(host)
    limits.rlimits(host)
    warnings = limits.discard_unsupported(host, group)
    capabilities(host)
    security(host)
    mounts_wanted(config, host)
    restart_policy(host)
    log_options(host)
    sysctls(host)
    port_bindings(config, host)
    check_health(config.get("Healthcheck"))
    if host.get("NetworkMode") == "host" and host.get("PortBindings"):
        warnings.append("Published ports are discarded when using host network mode")
    return warnings


def _check_process(config: dict[str, Any]) -> None:
    if config.get("StopSignal"):
        signal_number(config["StopSignal"])
    working = config.get("WorkingDir") or ""
    if working and not working.startswith("/"):
        raise InvalidArgument(
            f"the working directory {working!r} is invalid, it needs to be an absolute path"
        )
    for item in config.get("Env") or ():
        if not item or item.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {item}")
    hostname = config.get("Hostname") or ""
    if hostname and not (_HOSTNAME.fullmatch(hostname) and len(hostname) <= 63):
        raise InvalidArgument(f"invalid hostname format: {hostname}")
    if (mac := config.get("MacAddress")) and not _MAC.fullmatch(mac):
        raise InvalidArgument(f"{mac} is not a valid mac address")
    for port in config.get("ExposedPorts") or ():
        parse_port(port)


_WINDOWS = ("CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth", "CredentialSpec")


def _check_platform(host: dict[str, Any]) -> None:
    """Refuse what this platform, or a driver that is not here, would have to do."""
    for name in _WINDOWS:
        if host.get(name):
            raise InvalidArgument(f"invalid option: {name} is only supported on Windows")
    if host.get("Runtime") not in (None, "", "hythe", "runc"):
        raise InvalidArgument(f"unknown or invalid runtime name: {host['Runtime']}")
    if host.get("Isolation") not in (None, "", "default"):
        raise InvalidArgument(f"invalid isolation {host['Isolation']!r} on linux")
    for request in host.get("DeviceRequests") or ():
        wanted = " ".join(f"[{' '.join(words)}]" for words in request.get("Capabilities") or ())
        raise InvalidArgument(
            f'could not select device driver "{request.get("Driver") or ""}" with capabilities: '
            f"[{wanted}]"
        )
    if host.get("StorageOpt"):
        raise Unsupported(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        )
    for key in host.get("Annotations") or ():
        if not key:
            raise InvalidArgument(
                "invalid Annotation: the empty string is not permitted as an annotation key"
            )
    adjust = host.get("OomScoreAdj") or 0
    if not -1000 <= adjust <= 1000:
        raise InvalidArgument(f"Invalid value {adjust}, range for oom score adj is [-1000, 1000]")
    if int(host.get("ShmSize") or 0) < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    parent = host.get("CgroupParent") or ""
    if ".." in parent.split("/"):
        raise InvalidArgument(f"invalid cgroup parent: {parent}")
    if host.get("Init") and (host.get("PidMode") or "").startswith(("host", "container:")):
        return
    if host.get("Init") and not os.access(INIT, os.X_OK):
        raise Unsupported(f"--init needs {INIT}: install the package tini")


_MODES = {
    "PidMode": ("PID", ("", "private", "host"), True),
    "IpcMode": ("IPC", ("", "private", "host", "shareable", "none"), True),
    "UTSMode": ("UTS", ("", "private", "host"), False),
    "CgroupnsMode": ("cgroup namespace", ("", "private", "host"), False),
    "UsernsMode": ("user namespace", ("", "private", "host"), False),
}


def check_modes(config: dict[str, Any], host: dict[str, Any]) -> None:
    """Judge whose namespaces are to be used. Raises: InvalidArgument, in Docker's words."""
    check_names(host)
    for name, (words, allowed, joins) in _MODES.items():
        mode = host.get(name) or ""
        other = mode.partition(":")[2] if joins and mode.startswith("container:") else ""
        if mode not in allowed and not other:
            raise InvalidArgument(f"invalid {words} mode: {mode}")
    network = host.get("NetworkMode") or ""
    if host.get("UTSMode") == "host" and config.get("Hostname"):
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if host.get("Links") and (network in ("host", "none") or network.startswith("container:")):
        raise InvalidArgument("conflicting options: host type networking can't be used with links")
    if not network.startswith("container:"):
        return
    if not network.partition(":")[2]:
        raise InvalidArgument("invalid container format container:<name|id>")
    for words, value in (
        ("hostname and the network mode", config.get("Hostname")),
        ("dns and the network mode", host.get("Dns")),
        ("custom host-to-IP mapping and the network mode", host.get("ExtraHosts")),
        ("mac-address and the network mode", config.get("MacAddress")),
        (
            "port publishing and the container type network mode",
            host.get("PortBindings") or host.get("PublishAllPorts"),
        ),
        ("port exposing and the container type network mode", config.get("ExposedPorts")),
    ):
        if value:
            raise InvalidArgument(f"conflicting options: {words}")


def check_user_namespace(host: dict[str, Any]) -> None:
    """Refuse what a container with users of its own cannot have. Raises: InvalidArgument."""
    if host.get("Privileged"):
        raise InvalidArgument(
            "privileged mode is incompatible with user namespaces.  You must run the container in "
            "the host namespace when running privileged mode"
        )
    for name, words in (
        ("NetworkMode", "network"),
        ("PidMode", "PID"),
        ("IpcMode", "IPC"),
        ("CgroupnsMode", "cgroup"),
    ):
        mode = host.get(name) or ""
        if mode == "host":
            raise InvalidArgument(
                f"cannot share the host's {words} namespace when user namespaces are enabled"
            )
        if mode.startswith("container:"):
            raise InvalidArgument(
                f"cannot share another container's {words} namespace when user namespaces are "
                "enabled: run both with --userns=host"
            )


def check_health(health: dict[str, Any] | None) -> None:
    """Judge a health check. Units: nanoseconds. Raises: InvalidArgument."""
    if not health:
        return
    words = {"Interval": "interval", "Timeout": "timeout", "StartPeriod": "start period"}
    for name, shown in {**words, "StartInterval": "start interval"}.items():
        value = int(health.get(name) or 0)
        if value < 0 or 0 < value < 1_000_000:
            raise InvalidArgument(f"{shown.capitalize()} in Healthcheck cannot be less than 1ms")
    if int(health.get("Retries") or 0) < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    test = health.get("Test") or []
    if test and test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f"Unknown type {test[0]!r} in Healthcheck (try CMD)")


def capabilities(host: dict[str, Any]) -> tuple[str, ...]:
    """Return the capabilities to keep. Raises: InvalidArgument(unknown name)."""
    if host.get("Privileged"):
        return CAPABILITIES
    add = [_capability(name) for name in host.get("CapAdd") or ()]
    drop = [_capability(name) for name in host.get("CapDrop") or ()]
    kept = set(CAPABILITIES if "ALL" in add else DEFAULT_CAPABILITIES)
    if "ALL" in drop:
        kept = set()
    kept = (kept - set(drop)) | (set(add) - {"ALL"})
    return tuple(name for name in CAPABILITIES if name in kept)


def _capability(text: str) -> str:
    word = text.upper()
    if word == "ALL":
        return word
    name = word if word.startswith("CAP_") else f"CAP_{word}"
    if name not in CAPABILITIES:
        raise InvalidArgument(f'invalid capability: "{text}"')
    return name


@dataclass(frozen=True)
class Security:
    """What SecurityOpt asks for; `seccomp` is "default", a profile as JSON, None unconfined."""

    no_new_privileges: bool
    seccomp: str | None
    apparmor: str | None = None


def security(host: dict[str, Any]) -> Security:
    """Read SecurityOpt. Raises: InvalidArgument · Unsupported(AppArmor is not here)."""
    no_new, profile = False, None if host.get("Privileged") else "default"
    confined = None if host.get("Privileged") else apparmor.default_profile()
    for option in host.get("SecurityOpt") or ():
        separator = "=" if "=" in option else ":"
        key, _, value = option.partition(separator)
        if key == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise InvalidArgument(f"invalid --security-opt 2: {option!r}")
            no_new = value != "false"
        elif key == "seccomp":
            profile = _seccomp(value)
        elif key == "apparmor":
            if value != "unconfined" and not apparmor.is_enabled():
                raise Unsupported(f"apparmor={value}: this kernel runs without AppArmor")
            confined = None if value == "unconfined" else value
        elif key == "label" and value == "disable":
            continue  # SELinux labels are never set, so there is nothing to switch off
        else:
            raise InvalidArgument(f"invalid --security-opt 2: {option!r}")
    return Security(no_new, profile, confined)


def _seccomp(value: str) -> str | None:
    if value in ("unconfined", "builtin"):
        return None if value == "unconfined" else "default"
    try:
        if not isinstance(json.loads(value), dict):
            raise InvalidArgument("Decoding seccomp profile failed: an object was expected")
    except ValueError as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from error
    return value


def restart_policy(host: dict[str, Any]) -> tuple[str, int]:
    """Return (name, maximum retry count). Raises: InvalidArgument."""
    policy = host.get("RestartPolicy") or {}
    name, count = policy.get("Name") or "no", int(policy.get("MaximumRetryCount") or 0)
    if name not in ("no", "always", "on-failure", "unless-stopped"):
        raise InvalidArgument(f"invalid restart policy: unknown policy '{name}'")
    if count < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")
    if count and name != "on-failure":
        raise InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if name != "no" and host.get("AutoRemove"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    return name, count


@dataclass(frozen=True)
class LogOptions:
    """Where output goes: `kind` "json-file", "local" or "none".

    Units: `size` in bytes per file, None never rotates; `extras` says which labels and variables
    go with each line.
    """

    kind: str
    size: int | None
    files: int
    compress: bool
    extras: dict[str, str]


_LOG_DEFAULTS = {
    "json-file": {"max-size": "-1", "max-file": "1", "compress": "false"},
    "local": {"max-size": "20m", "max-file": "5", "compress": "true"},
    "none": {},
}
_LOG_EXTRAS = ("labels", "labels-regex", "env", "env-regex", "tag")


def log_options(host: dict[str, Any]) -> LogOptions:
    """Read LogConfig. Raises: InvalidArgument."""
    log = host.get("LogConfig") or {}
    kind, given = log.get("Type") or "json-file", dict(log.get("Config") or {})
    if kind not in _LOG_DEFAULTS:
        raise InvalidArgument(f"logger: no log driver named '{kind}' is registered")
    # How full the buffer may get has no meaning where nothing waits: a line goes to the file.
    if given.pop("mode", "blocking") not in ("blocking", "non-blocking"):
        raise InvalidArgument("logger: logging mode must be blocking or non-blocking")
    if "max-buffer-size" in given:
        parse_size(given.pop("max-buffer-size"))
    allowed = set(_LOG_DEFAULTS[kind]) | (set(_LOG_EXTRAS) if kind == "json-file" else set())
    for key in given:
        if key not in allowed and kind != "none":
            raise InvalidArgument(f"unknown log opt '{key}' for {kind} log driver")
    options = {"max-size": "-1", "max-file": "1", "compress": "false"}
    options |= {**_LOG_DEFAULTS[kind], **given}
    if not options["max-file"].isdigit() or int(options["max-file"]) < 1:
        raise InvalidArgument("max-file cannot be less than 1")
    size = None if options["max-size"] == "-1" else parse_size(options["max-size"])
    if options["compress"] not in ("true", "false"):
        raise InvalidArgument(f"invalid value for compress: {options['compress']!r}")
    if given.get("compress") == "true" and (size is None or int(options["max-file"]) < 2):
        raise InvalidArgument(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    extras = {key: value for key, value in given.items() if key in _LOG_EXTRAS}
    return LogOptions(kind, size, int(options["max-file"]), options["compress"] == "true", extras)


def log_attributes(
    config: dict[str, Any], extras: dict[str, str], names: dict[str, str]
) -> dict[str, str]:
    """Return the labels and variables that are to stand beside each line of the log.

    `names` are the values of a tag's fields: "Name", "ID", "ImageName" and so on.
    """
    env = dict(item.partition("=")[::2] for item in config.get("Env") or ())
    found: dict[str, str] = {}
    for word, values in (("labels", config.get("Labels") or {}), ("env", env)):
        chosen = set(filter(None, extras.get(word, "").split(",")))
        pattern = extras.get(f"{word}-regex")
        found |= {
            key: value
            for key, value in values.items()
            if key in chosen or (pattern and re.search(pattern, key))
        }
    if "tag" in extras:
        pattern = r"\{\{\s*\.(\w+)\s*\}\}"
        found["tag"] = re.sub(pattern, lambda word: names.get(word[1], ""), extras["tag"])
    return found


def parse_size(text: str) -> int:
    """Return the bytes that "10m" means. Raises: InvalidArgument."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if not match:
        raise InvalidArgument(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


# Which namespace a kernel parameter belongs to: not one's own, it is not one's own to set.
_SYSCTL_OWNERS = (
    (("net.",), "NetworkMode", "host network"),
    (("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."), "IpcMode", "host IPC"),
    (("kernel.domainname", "kernel.hostname"), "UTSMode", "host UTS"),
)


def sysctls(host: dict[str, Any]) -> dict[str, str]:
    """Return kernel parameters, only such as belong to the container's own namespaces."""
    wanted = dict(host.get("Sysctls") or {})
    for name in wanted:
        if not _SYSCTLS.fullmatch(name) or "/" in name:
            raise InvalidArgument(f"sysctl '{name}' is not allowed")
        for prefixes, field, words in _SYSCTL_OWNERS:
            mode = str(host.get(field) or "")
            if name.startswith(prefixes) and mode.startswith(("host", "container:")):
                raise InvalidArgument(f"sysctl '{name}' not allowed in {words} namespace")
    return wanted


ENDPOINT_OPTIONS = (ENDPOINT_INTERFACE, ENDPOINT_SYSCTLS)


def check_address(text: str, what: str) -> None:
    """Refuse what is neither "" nor an address. Raises: InvalidArgument."""
    try:
        if text:
            plain_address(text)
    except ValueError:
        raise InvalidArgument(f"{what}: {text!r}") from None


def check_names(host: dict[str, Any]) -> None:
    """Judge what goes into a container's hosts and resolv.conf. Raises: InvalidArgument."""
    for server in host.get("Dns") or ():
        check_address(server, "invalid DNS server address")
    for field in ("DnsSearch", "DnsOptions"):
        for word in host.get(field) or ():
            if not word or any(letter.isspace() for letter in word):
                raise InvalidArgument(f"invalid {field}: {word!r}")
    for entry in host.get("ExtraHosts") or ():
        name, separator, address = entry.replace("=", ":", 1).partition(":")
        if not separator or not name or any(letter.isspace() for letter in entry):
            raise InvalidArgument(f"bad format for add-host: {entry!r}")
        if address != "host-gateway":
            check_address(address.strip("[]") or "?", "invalid IP address in add-host")


def check_mac(text: str) -> None:
    """Refuse what is no address of an interface. Raises: InvalidArgument."""
    if not _MAC.fullmatch(text):
        raise InvalidArgument(f"invalid MAC address: {text}")
    if int(text[:2], 16) & 1:
        raise InvalidArgument(f"invalid MAC address: {text} is a group's, not an interface's")


def normal_ports(keys: Iterable[str]) -> list[str]:
    """Return "80/tcp" for "80", and each port of "8000-8002/udp". Raises: InvalidArgument."""
    found = []
    for key in keys:
        numbers, _, protocol = key.partition("/")
        first, separator, last = numbers.partition("-")
        protocol = (protocol or "tcp").lower()
        if separator and not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
            raise InvalidArgument(f"invalid port specification: {key!r}")
        many = range(int(first), int(last) + 1) if separator else (numbers,)
        for number in many:
            parse_port(f"{number}/{protocol}")
            found.append(f"{number}/{protocol}")
    return found


def port_bindings(config: dict[str, Any], host: dict[str, Any]) -> tuple[PortBinding, ...]:
    """Return the ports to publish. Raises: InvalidArgument."""
    found = []
    for key, bindings in (host.get("PortBindings") or {}).items():
        port, protocol = parse_port(key)
        for binding in bindings or ():
            first, _, last = str(binding.get("HostPort") or "0").partition("-")
            try:
                numbers = (int(first), int(last or first))
            except ValueError as error:
                raise InvalidArgument(f"invalid port specification: {binding['HostPort']!r}") from (
                    error
                )
            if not all(0 <= number <= 65535 for number in numbers) or numbers[1] < numbers[0]:
                raise InvalidArgument(f"invalid port specification: {binding['HostPort']!r}")
            host_ip = binding.get("HostIp") or ""
            check_address(host_ip, "invalid host IP address")
            end = numbers[1] if numbers[1] != numbers[0] else 0
            found.append(PortBinding(port, protocol, host_ip, numbers[0], end))
    if host.get("PublishAllPorts"):
        bound = {(item.container_port, item.protocol) for item in found}
        exposed = map(parse_port, config.get("ExposedPorts") or ())
        found.extend(PortBinding(*pair) for pair in exposed if pair not in bound)
    return tuple(found)


def parse_port(key: str) -> tuple[int, str]:
    """Return (port, protocol) of "80/tcp". Raises: InvalidArgument."""
    number, _, protocol = key.partition("/")
    if not number.isdigit() or not 0 < int(number) <= 65535:
        raise InvalidArgument(f"invalid port specification: {key!r}")
    if (protocol or "tcp") not in ("tcp", "udp", "sctp"):
        raise InvalidArgument(f"invalid proto: {protocol}")
    return int(number), protocol or "tcp"
