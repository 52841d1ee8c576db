"""Mounts that a client asked for, whatever the field, as one plan.

Shape: a plan is {"Type": "bind"|"volume"|"tmpfs"|"image", "Source", "Target", "ReadOnly",
       "Options": [words of `mount -o`], "Subpath", "Copy", "Create", "Shown"}; a volume without a
       name has Source "". Once made it also has "Name" and "Anonymous", and a volume's Source is
       its directory.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from engine.core.errors import InvalidArgument
from engine.core.ids import new_id
from engine.kernel.mount import Mount
from engine.volumes.model import check_driver, check_options

if TYPE_CHECKING:
    from engine.containers.deps import Containers

_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_BIND_WORDS = frozenset(
    (*_PROPAGATIONS, *"ro rw z Z nocopy rbind bind cached delegated consistent".split())
)
_TMPFS_WORDS = frozenset(
    "ro rw exec noexec suid nosuid dev nodev sync async dirsync remount noatime atime nodiratime "
    "diratime strictatime nostrictatime relatime norelatime mode size uid gid nr_inodes "
    "nr_blocks mpol".split()
)
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def mounts_wanted(config: dict[str, Any], host: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the plan of every mount asked for.

    Raises: InvalidArgument(bad path, duplicate target, unknown option) · NotFound(volume driver).
    """
    driver = host.get("VolumeDriver") or "local"
    found = [_parse_bind(text) for text in host.get("Binds") or ()]
    for path, options in (host.get("Tmpfs") or {}).items():
        words = [word for word in options.split(",") if word]
        for word in words:
            if word.partition("=")[0] not in (*_TMPFS_WORDS, *_PROPAGATIONS):
                raise InvalidArgument(f'invalid tmpfs option ["{word}"]')
        found.append(_plan("tmpfs", "", path, "ro" in words, words) | {"Shown": False})
    found.extend(map(_parse_mount, host.get("Mounts") or ()))
    targets = [os.path.normpath(item["Target"]) for item in found]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidArgument(f"Duplicate mount point: {target}")
    declared = [
        path for path in config.get("Volumes") or () if os.path.normpath(path) not in targets
    ]
    found.extend(_plan("volume", "", path, False, []) | {"Declared": True} for path in declared)
    for item in found:
        if item["Type"] == "volume":
            check_driver(driver)
        if not item["Target"].startswith("/"):
            raise InvalidArgument(
                f'invalid mount config for type "{item["Type"]}": invalid mount '
                f"path: '{item['Target']}' mount path must be absolute"
            )
        if os.path.normpath(item["Target"]) == "/":
            raise InvalidArgument("invalid specification: destination can't be '/'")
        # An image's own words may say anything: no ".." is left to be followed later.
        item["Target"] = "/" + os.path.normpath(item["Target"]).lstrip("/")
    return found


def _plan(
    kind: str, source: str, target: str, read_only: bool, options: list[str]
) -> dict[str, Any]:
    return {
        "Type": kind,
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "Options": options,
        "Subpath": "",
        "Copy": kind == "volume" and "nocopy" not in options,
        "Create": False,
        "Shown": True,
    }


def _parse_bind(text: str) -> dict[str, Any]:
    parts = text.split(":")
    if len(parts) == 1 and text.startswith("/"):
        return _plan("volume", "", text, False, [])
    if len(parts) not in (2, 3) or not parts[1]:
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    words = parts[2].split(",") if len(parts) == 3 else []
    if not _BIND_WORDS.issuperset(words) or len(set(words) & set(_PROPAGATIONS)) > 1:
        raise InvalidArgument(f"invalid mode: {parts[2]}")
    kind = "bind" if parts[0].startswith("/") else "volume"
    if kind == "volume" and not _VOLUME_NAME.fullmatch(parts[0]):
        raise InvalidArgument(
            f'"{parts[0]}" includes invalid characters for a local volume name, '
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to '
            "pass a host directory, use absolute path"
        )
    item = _plan(kind, parts[0], parts[1], "ro" in words, words)
    item["Create"] = kind == "bind"  # `-v` makes a missing host directory, `--mount` does not
    return item


def _refuse(kind: str, why: str) -> InvalidArgument:
    return InvalidArgument(f'invalid mount config for type "{kind}": {why}')


def _parse_mount(item: dict[str, Any]) -> dict[str, Any]:
    kind = str(item.get("Type") or "")
    if kind not in ("bind", "volume", "tmpfs", "image"):
        raise _refuse(kind, "mount type unknown")
    for name, owner in (
        ("BindOptions", "bind"),
        ("VolumeOptions", "volume"),
        ("TmpfsOptions", "tmpfs"),
        ("ImageOptions", "image"),
    ):
        if item.get(name) and kind != owner:
            raise _refuse(kind, f"field {name} must not be specified")
    source, target = item.get("Source") or "", item.get("Target") or ""
    if not target:
        raise _refuse(kind, "field Target must not be empty")
    if kind in ("bind", "image") and not source:
        raise _refuse(kind, "field Source must not be empty")
    if kind == "tmpfs" and source:
        raise _refuse(kind, "field Source must not be specified")
    plan = _plan(kind, source, target, bool(item.get("ReadOnly")), [])
    if kind == "bind":
        _read_bind_options(plan, item.get("BindOptions") or {})
    elif kind == "volume":
        _read_volume_options(plan, item.get("VolumeOptions") or {})
    elif kind == "tmpfs":
        _read_tmpfs_options(plan, item.get("TmpfsOptions") or {})
    else:
        plan["ReadOnly"] = True
        plan["Subpath"] = _subpath(kind, (item.get("ImageOptions") or {}).get("Subpath") or "")
    return plan


def _read_bind_options(plan: dict[str, Any], options: dict[str, Any]) -> None:
    plan["Create"] = bool(options.get("CreateMountpoint"))
    if not plan["Source"].startswith("/"):
        raise _refuse("bind", f"invalid mount path: '{plan['Source']}' mount path must be absolute")
    if not plan["Create"] and not os.path.exists(plan["Source"]):
        raise _refuse("bind", f"bind source path does not exist: {plan['Source']}")
    words = plan["Options"]
    if propagation := options.get("Propagation"):
        if propagation not in _PROPAGATIONS:
            raise _refuse("bind", f"invalid propagation mode: {propagation}")
        words.append(propagation)
    if options.get("NonRecursive"):
        words.append("bind")
    only_top, whole = options.get("ReadOnlyNonRecursive"), options.get("ReadOnlyForceRecursive")
    if (only_top or whole) and not plan["ReadOnly"]:
        name = "ReadOnlyNonRecursive" if only_top else "ReadOnlyForceRecursive"
        raise _refuse("bind", f"mount source must be read-only with {name}")
    if only_top and whole:
        raise _refuse("bind", "ReadOnlyForceRecursive and ReadOnlyNonRecursive contradict")
    if whole and (options.get("NonRecursive") or propagation not in (None, "", "rprivate")):
        raise _refuse("bind", "ReadOnlyForceRecursive needs a recursive rprivate mount")
    if only_top:
        words.append("ro-top")


def _read_volume_options(plan: dict[str, Any], options: dict[str, Any]) -> None:
    if plan["Source"] and not _VOLUME_NAME.fullmatch(plan["Source"]):
        raise _refuse("volume", f"invalid volume name: '{plan['Source']}'")
    driver = options.get("DriverConfig") or {}
    check_driver(driver.get("Name") or "")
    plan["DriverOptions"] = dict(driver.get("Options") or {})
    check_options(plan["Source"], plan["DriverOptions"])
    plan["Labels"] = dict(options.get("Labels") or {})
    plan["Copy"] = not options.get("NoCopy")
    plan["Subpath"] = _subpath("volume", options.get("Subpath") or "")
    if plan["Subpath"] and not plan["Source"]:
        raise _refuse("volume", "must not set Subpath when using anonymous volumes")


def _read_tmpfs_options(plan: dict[str, Any], options: dict[str, Any]) -> None:
    words = plan["Options"]
    if options.get("SizeBytes"):
        words.append(f"size={int(options['SizeBytes'])}")
    if options.get("Mode"):
        words.append(f"mode={int(options['Mode']):o}")
    for pair in options.get("Options") or ():
        if pair[0] not in _TMPFS_WORDS:
            raise _refuse("tmpfs", f"invalid option: {'='.join(pair)!r}")
        words.append("=".join(pair))


def _subpath(kind: str, path: str) -> str:
    if path and (path.startswith("/") or ".." in path.split("/")):
        raise _refuse(kind, "subpath must be a relative path within the volume")
    return path


def plan_mounts(
    deps: Containers, config: dict[str, Any], host: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the whole plan, inherited mounts included; nothing is made yet.

    Raises: NotFound(container of VolumesFrom) · InvalidArgument.
    """
    plans = mounts_wanted(config, host)
    taken = {os.path.normpath(plan["Target"]) for plan in plans if not plan.get("Declared")}
    inherited = {}
    for text in host.get("VolumesFrom") or ():
        reference, _, mode = text.partition(":")
        if mode not in ("", "ro", "rw", "z", "Z"):
            raise InvalidArgument(f"invalid mode: {mode}")
        for plan in deps.find(reference).document["Plan"]:
            target = os.path.normpath(plan["Target"])
            if plan["Type"] != "tmpfs" and target not in taken:
                read_only = plan["ReadOnly"] or mode == "ro"
                inherited[target] = {**plan, "ReadOnly": read_only, "Copy": False}
    kept = [
        plan
        for plan in plans
        if not (plan.get("Declared") and os.path.normpath(plan["Target"]) in inherited)
    ]
    for plan in kept:
        if plan["Type"] == "volume":
            plan |= {"Name": plan["Source"] or new_id(), "Anonymous": not plan["Source"]}
    return [*kept, *inherited.values()]


def make_mounts(deps: Containers, plans: list[dict[str, Any]]) -> None:
    """Make the volumes and directories that a plan needs. Raises: NotFound(image)."""
    for plan in plans:
        _make(deps, plan)


def _make(deps: Containers, plan: dict[str, Any]) -> None:
    source = plan["Source"]
    if plan["Type"] == "volume":
        labels = plan.pop("Labels", None)
        options = plan.pop("DriverOptions", None)
        volume = deps.volumes.ensure(
            plan["Name"], labels, options=options, anonymous=plan["Anonymous"]
        )
        plan["Source"] = volume.mountpoint
    elif plan["Type"] == "image":
        plan["Name"] = deps.images.get(source).id
    elif plan["Type"] == "bind" and not os.path.exists(source):
        if not plan["Create"]:
            raise _refuse("bind", f"bind source path does not exist: {source}")
        os.makedirs(source)


def plan_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the plan of a container that was made before plans were written down."""
    shown = {item["Destination"]: item for item in document["Mounts"]}
    plans = mounts_wanted(document["Config"], document["HostConfig"])
    for plan in plans:
        made = shown.get(plan["Target"], {})
        plan |= {"Source": made.get("Source", plan["Source"]), "Name": made.get("Name", "")}
        plan["Anonymous"] = bool(made.get("Anonymous"))
    return plans


def describe(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what `docker inspect` shows as one of Mounts."""
    words = [word for word in plan["Options"] if word != "ro-top"]
    shown = {
        "Type": plan["Type"],
        "Source": plan["Source"],
        "Destination": plan["Target"],
        "Mode": ",".join(words),
        "RW": not plan["ReadOnly"],
        "Propagation": "",
    }
    if plan["Type"] == "bind":
        named = [word for word in words if word in _PROPAGATIONS]
        shown["Propagation"] = named[0] if named else "rprivate"
    elif plan["Type"] == "volume":
        shown = {"Type": "volume", "Name": plan["Name"], **shown, "Driver": "local"}
    return shown


def runtime_mount(deps: Containers, plan: dict[str, Any]) -> Mount:
    """Return the runtime's mount for one plan."""
    if plan["Type"] == "tmpfs":
        return _tmpfs(plan)
    if plan["Type"] == "image":
        layers = deps.images.layer_directories(plan["Name"])
        return Mount("image", ":".join(layers), plan["Target"], ("ro",), plan["Subpath"])
    words = [word for word in plan["Options"] if word in _PROPAGATIONS] or ["rprivate"]
    words.append("bind" if "bind" in plan["Options"] else "rbind")
    if plan["ReadOnly"]:
        words.append("ro-top" if "ro-top" in plan["Options"] else "ro")
    return Mount("bind", plan["Source"], plan["Target"], tuple(words), plan["Subpath"])


def _tmpfs(plan: dict[str, Any]) -> Mount:
    words = ["nosuid", "nodev", "noexec", *plan["Options"]]
    if plan["ReadOnly"] and "ro" not in words:
        words.append("ro")
    if not any(word.startswith("mode=") for word in words):
        words.append("mode=1777")
    for positive, negative in (("exec", "noexec"), ("suid", "nosuid"), ("dev", "nodev")):
        if positive in words:
            words = [word for word in words if word not in (positive, negative)]
    words = [word for word in words if word not in _PROPAGATIONS]
    return Mount("tmpfs", "tmpfs", plan["Target"], tuple(words))
