"""From clone to exec: what a container's first process does, in order, before it is the user's.

Every step runs in the child, already inside new namespaces; a failure travels to the supervisor
as a `Failure` and the child ends. Positions that look odd have their reason beside them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import socket
import stat
import termios
from typing import TYPE_CHECKING

from engine.kernel import mount as mounts
from engine.kernel import namespaces, netlink, process, seccomp
from engine.kernel.cgroups import hierarchies
from engine.supervisor.users import resolve_user

if TYPE_CHECKING:
    from engine.supervisor.spec import ContainerSpec, InterfaceSpec, ProcessSpec

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PR_SET_DUMPABLE = 4

_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
# Files of /proc that tools replace by figures of the container's own.
_PROC_FILES = frozenset(
    "/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/slabinfo /proc/stat "
    "/proc/swaps /proc/uptime".split()
)


class Failure(Exception):
    """A start that failed for a reason to be told; `kind` chooses the words and the exit code.

    Shape: kind is "not_found", "no_such_file", "not_permitted" (about the program) or "other".
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def build_root(spec: ContainerSpec, scratch: str, given: list[int]) -> None:
    """Make the container's whole tree of mounts and make it this process's root.

    `scratch` is an empty directory; the mounts on it exist only in this mount namespace. `given`
    are the trees of `gather` when the process has a user namespace of its own, else empty.
    """
    shm = _shared_memory(spec)
    if given:
        # Opened as the host's root still; the directories above may be closed to anybody else.
        place = os.open(scratch, os.O_PATH | os.O_CLOEXEC)
        enter_user_namespace()
        mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_SLAVE)
        root, *trees = given
        mounts.move_mount(root, place)
        os.close(place)
    else:
        # Sources are taken while they are still peers of the host's mounts: a shared one stays so.
        binds = [take(item, scratch) if item.fstype == "bind" else None for item in spec.mounts]
        # Nothing mounted here may ever travel back to the host.
        mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_SLAVE)
        trees = [
            tree
            for item, bind in zip(spec.mounts, binds, strict=True)
            if (tree := take(item, scratch) if item.fstype == "image" else bind) is not None
        ]
        for item in spec.rootfs:
            mount_rootfs(item, scratch)
        root = os.open(scratch, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _mount_kernel_filesystems(root, spec, shm)
    mounted = sum(item.fstype in ("bind", "image") for item in spec.mounts)
    _make_devices(root, spec, trees[mounted:])
    rest = iter(trees)
    for item in spec.mounts:
        attach(root, item, next(rest) if item.fstype in ("bind", "image") else None)
    os.close(_touch(root, "/.dockerenv"))  # by this programs tell that they are in a container
    if spec.process.terminal:
        os.close(_touch(root, "/dev/console"))
    os.fchdir(root)
    # Scary things happen when the host's root is pivoted: only ever done in our own namespace.
    mounts.pivot_root(".", ".")
    mounts.umount2(".", mounts.MNT_DETACH)
    os.chdir("/")
    os.close(root)


def enter_user_namespace() -> None:
    """Become the root of this user namespace; what one was before has no name in it."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    process.prctl(PR_SET_DUMPABLE, 0)


def gather(spec: ContainerSpec, scratch: str, userns: int) -> list[int]:
    """Return the detached trees that a process in a user namespace may attach but not make.

    Shape: the root, then one of each bind and image mount in order, then one of each device. All
    but devices are id-mapped: what belongs to user N on disk belongs to N inside. The caller is
    in a mount namespace of its own, which it leaves afterwards.
    """
    trees = [take(item, scratch, userns) for item in spec.mounts if item.fstype == "bind"]
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    binds = iter(trees)
    result = [_root_tree(spec, scratch, userns)]
    for item in spec.mounts:
        if item.fstype in ("bind", "image"):
            tree = next(binds) if item.fstype == "bind" else take(item, scratch, userns)
            result.append(tree if tree is not None else -1)
    hosts = [f"/dev/{name}" for name, _, _ in _DEVICES] + [path for path, _, _ in spec.devices]
    return result + [mounts.open_tree(path, recursive=False) for path in hosts]


def _root_tree(spec: ContainerSpec, scratch: str, userns: int) -> int:
    (item,) = spec.rootfs
    if item.fstype == "bind":
        return _id_mapped(mounts.open_tree(item.source), userns, item.source)
    words = dict(word.partition("=")[::2] for word in item.options)
    layers = words["lowerdir"].split(":")
    owner = spec.id_map[0] if spec.id_map else 0
    return _overlay(layers, os.path.dirname(words["upperdir"]), scratch, userns, owner)


def _overlay(
    layers: list[str], upper: str | None, scratch: str, userns: int, owner: int = 0
) -> int:
    """Return a detached overlay of id-mapped layers.

    `upper` has the directories fs and work; `owner` is who root inside is outside.
    """
    mounts.mount("tmpfs", scratch, "tmpfs", 0, "mode=700,size=1m")
    names = []
    for number, path in enumerate([*layers, *([upper] if upper else [])]):
        names.append(f"{scratch}/{number}")
        os.mkdir(names[-1])
        tree = _id_mapped(mounts.open_tree(path), userns, path)
        place = os.open(names[-1], os.O_PATH | os.O_CLOEXEC)
        mounts.move_mount(tree, place)
        os.close(place)
        os.close(tree)
    target = f"{scratch}/merged"
    os.mkdir(target)
    data = f"lowerdir={':'.join(names[: len(layers)])}"
    if upper:
        data += f",upperdir={names[-1]}/fs,workdir={names[-1]}/work"
        data += ",index=off,redirect_dir=off,metacopy=off"
        # Overlay writes as whoever mounts it, and that must be somebody whom the map knows.
        process.act_as(owner, process.held_capabilities())
    try:
        mounts.mount("overlay", target, "overlay", 0 if upper else mounts.MS_RDONLY, data)
        return mounts.open_tree(target)
    finally:
        mounts.umount2(scratch, mounts.MNT_DETACH)


def _id_mapped(tree: int, userns: int, source: str) -> int:
    try:
        mounts.map_ids(tree, userns)
    except OSError as error:
        raise Failure(
            "other", f"{source}: its filesystem cannot be id-mapped: {error.strerror}"
        ) from error
    return tree


def mount_rootfs(item: mounts.Mount, scratch: str) -> None:
    """Mount one part of the root on a host directory of this mount namespace."""
    if item.fstype == "bind":
        tree = mounts.open_tree(item.source)
        scratch_fd = os.open(scratch, os.O_PATH | os.O_CLOEXEC)
        mounts.move_mount(tree, scratch_fd)
        os.close(tree)
        os.close(scratch_fd)
        return
    mounts.mount(item.source, scratch, item.fstype, 0, ",".join(item.options))


def _shared_memory(spec: ContainerSpec) -> int | None:
    """Return the /dev/shm of the host or of another container, None for one of its own."""
    if not spec.shm or spec.shm == "none":
        return None
    if spec.shm == "host":
        return mounts.open_tree("/dev/shm")
    # A mount can be copied only from inside its own namespace; the copy may leave it.
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(spec.shm, os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(there, namespaces.CLONE_NEWNS)
        try:
            return mounts.open_tree("/dev/shm")
        finally:
            namespaces.setns(home, namespaces.CLONE_NEWNS)
    finally:
        os.close(there)
        os.close(home)


def _mount_kernel_filesystems(root: int, spec: ContainerSpec, shm: int | None) -> None:
    secure = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC
    sys_mode = 0 if spec.privileged else mounts.MOUNT_ATTR_RDONLY
    _new(root, "proc", "/proc", {}, secure)
    dev: dict[str, str | None] = {"mode": "755", "size": "65536k"}
    _new(root, "tmpfs", "/dev", dev, mounts.MOUNT_ATTR_NOSUID)
    pts: dict[str, str | None] = {
        "newinstance": None,
        "ptmxmode": "0666",
        "mode": "0620",
        "gid": "5",
    }
    _new(root, "devpts", "/dev/pts", pts, mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NOEXEC)
    if shm is not None:
        _place(root, shm, "/dev/shm")
    elif spec.shm != "none":
        _new(root, "tmpfs", "/dev/shm", {"mode": "1777", "size": str(spec.shm_size)}, secure)
    _new(root, "mqueue", "/dev/mqueue", {}, secure)
    _new(root, "sysfs", "/sys", {}, secure | sys_mode)
    _mount_cgroups(root, secure | sys_mode)


def _mount_cgroups(root: int, attributes: int) -> None:
    """Show the container its own groups below /sys/fs/cgroup, read-only unless privileged."""
    found = hierarchies()
    if not found.v1:
        _new(root, "cgroup2", "/sys/fs/cgroup", {}, attributes)
        return
    directory = _new(
        root, "tmpfs", "/sys/fs/cgroup", {"mode": "755", "size": "64k"}, attributes & ~1
    )
    for point in dict.fromkeys(found.v1.values()):
        words = [word for word, where in found.v1.items() if where == point]
        name = os.path.basename(point)
        options: dict[str, str | None] = {}
        for word in words:
            key, _, value = word.partition("=")
            options[key] = value or None
        if any(word.startswith("name=") for word in words):
            options["none"] = None
        _new(root, "cgroup", f"/sys/fs/cgroup/{name}", options, attributes)
    if found.unified:
        _new(root, "cgroup2", "/sys/fs/cgroup/unified", {}, attributes)
    if attributes & mounts.MOUNT_ATTR_RDONLY:
        mounts.mount_setattr(directory, mounts.MOUNT_ATTR_RDONLY)
    os.close(directory)


def _new(
    root: int, fstype: str, target: str, options: dict[str, str | None], attributes: int
) -> int:
    """Mount a new filesystem at `target` inside the root; the descriptor is of the mount."""
    place = _own_directory(root, target)
    try:
        tree = mounts.new_filesystem(fstype, options, attributes)
    except OSError as error:
        raise Failure("other", f"mount {fstype} at {target}: {error.strerror}") from error
    mounts.move_mount(tree, place)
    os.close(place)
    return tree


def _own_directory(root: int, path: str) -> int:
    """Return the place of one of the engine's own mounts: a real directory, never a link.

    An image whose /dev leads into /proc would have us mount there (CVE-2019-16884).
    """
    os.close(_directory(root, path, links=False))
    return mounts.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, links=False)


def _directory(root: int, path: str, *, links: bool = True) -> int:
    """Return a descriptor of a directory inside the root, made when missing."""
    try:
        return mounts.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, links=links)
    except FileNotFoundError:
        parent, name = os.path.split(path.rstrip("/"))
        above = _directory(root, parent, links=links)
        try:
            os.mkdir(name, 0o755, dir_fd=above)
        finally:
            os.close(above)
        return mounts.open_in_root(root, path, os.O_PATH | os.O_DIRECTORY, links=links)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Failure("other", f"{path} of the image is not a directory") from error


def _touch(root: int, path: str) -> int:
    """Return a descriptor of a file inside the root, made when missing."""
    try:
        return mounts.open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        parent, name = os.path.split(path)
        above = _directory(root, parent)
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(name, flags, 0o644, dir_fd=above))
        os.close(above)
        return mounts.open_in_root(root, path, os.O_PATH)


def _make_devices(root: int, spec: ContainerSpec, trees: list[int]) -> None:
    """Make the device files; `trees` are the host's own, for who may not make any."""
    paths = [f"/dev/{name}" for name, _, _ in _DEVICES] + [path for _, path, _ in spec.devices]
    dev = _directory(root, "/dev")
    if trees:
        for path, tree in zip(paths, trees, strict=True):
            place = _touch(root, path)
            mounts.move_mount(tree, place)
            os.close(tree)
            os.close(place)
    else:
        _make_nodes(root, spec, dev)
    for name, target in _LINKS:
        os.symlink(target, name, dir_fd=dev)
    os.close(dev)


def _make_nodes(root: int, spec: ContainerSpec, dev: int) -> None:
    old = os.umask(0)
    for name, major, minor in _DEVICES:
        os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(major, minor), dir_fd=dev)
    for host_path, path, _ in spec.devices:
        try:
            found = os.stat(host_path)
        except FileNotFoundError:
            raise Failure("other", f"{host_path}: no such file or directory") from None
        parent, name = os.path.split(path)
        above = _directory(root, parent)
        try:
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=above)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=above)
        except FileExistsError:  # asked for one that every container has
            pass
        os.close(above)
    os.umask(old)


def _place(root: int, tree: int, target: str) -> None:
    place = _own_directory(root, target)
    mounts.move_mount(tree, place)
    os.close(place)


def take(item: mounts.Mount, scratch: str, userns: int | None = None) -> int | None:
    """Return a detached copy of what a mount shows, with its attributes; None for a new one.

    `userns` is the user namespace whose users the files are to belong to.
    """
    if item.fstype == "image":
        tree = _take_image(item, scratch, userns)
    elif item.fstype == "bind":
        tree = _take_bind(item)
        if userns is not None:
            _id_mapped(tree, userns, item.source)
    else:
        return None
    recursive = "bind" not in item.options
    if attributes := mounts.attributes_of(item.options):
        mounts.mount_setattr(tree, attributes, recursive=recursive)
    if "ro-top" in item.options:
        mounts.mount_setattr(tree, mounts.MOUNT_ATTR_RDONLY)
    propagation, deep = mounts.propagation_of(item.options)
    if userns is not None and propagation == mounts.MS_SHARED:
        propagation = mounts.MS_SLAVE  # whoever has fewer rights must not mount for the host
    mounts.mount_setattr(tree, 0, propagation, recursive=deep)
    return tree


def _take_bind(item: mounts.Mount) -> int:
    recursive = "bind" not in item.options
    try:
        if not item.subpath:
            return mounts.open_tree(item.source, recursive=recursive)
        return _part(item.source, item.subpath, recursive=recursive)
    except FileNotFoundError:
        what = f"{item.source}/{item.subpath}".rstrip("/")
        message = f"error mounting {what!r} to rootfs at {item.target!r}: no such file or directory"
        raise Failure("other", message) from None


def _part(directory: str, subpath: str, *, recursive: bool = True) -> int:
    """Return a detached copy of what is at `subpath`, resolved inside the directory."""
    above = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inside = mounts.open_in_root(above, subpath, os.O_PATH)
    finally:
        os.close(above)
    try:
        return mounts.open_tree(f"/proc/self/fd/{inside}", recursive=recursive)
    finally:
        os.close(inside)


def _take_image(item: mounts.Mount, scratch: str, userns: int | None) -> int:
    """Return a detached mount of an image's tree, or of a part of it."""
    layers = item.source.split(":")
    if userns is not None and len(layers) > 1:
        whole = _overlay(layers, None, scratch, userns)
        place = os.open(scratch, os.O_PATH | os.O_CLOEXEC)
        mounts.move_mount(whole, place)
        os.close(place)
        os.close(whole)
    elif len(layers) == 1:  # overlay wants two; a single layer is the tree itself
        mounts.mount(layers[0], scratch, "", mounts.MS_BIND)
    else:
        data = f"lowerdir={item.source}"
        mounts.mount("overlay", scratch, "overlay", mounts.MS_RDONLY, data)
    try:
        tree = _part(scratch, item.subpath or "/")
    except FileNotFoundError:
        raise Failure("other", f"subpath {item.subpath!r} is not in the image") from None
    finally:
        mounts.umount2(scratch, mounts.MNT_DETACH)
    if userns is not None and len(layers) == 1:
        _id_mapped(tree, userns, item.source)
    return tree


def attach(root: int, item: mounts.Mount, tree: int | None) -> None:
    """Make one of the user's mounts of what `take` gave, its target resolved inside the root."""
    attributes = mounts.attributes_of(item.options)
    if tree is None:
        place = _directory(root, item.target)
        _refuse_proc(place, item.target)
        os.close(place)
        options = {}
        for word in item.options:
            key, _, value = word.partition("=")
            if key in ("mode", "size", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"):
                options[key] = value or None
        os.close(_new(root, item.fstype, item.target, options, attributes))
        return
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        place = _directory(root, item.target)
    else:
        place = _touch(root, item.target)
    _refuse_proc(place, item.target)
    mounts.move_mount(tree, place)
    os.close(tree)
    os.close(place)


def _refuse_proc(place: int, target: str) -> None:
    """Keep mounts out of /proc, whatever links led there: what is masked must stay masked."""
    if target not in _PROC_FILES and mounts.filesystem_of(place) == mounts.PROC_SUPER_MAGIC:
        raise Failure("other", f'"{target}" cannot be mounted because it is inside /proc')


def set_up_network(interfaces: tuple[InterfaceSpec, ...]) -> None:
    """Bring up loopback and give every interface its addresses, parameters and routes."""
    messages = [netlink.set_up(1)]
    routes: list[bytes] = []
    for interface in interfaces:
        added, further = configure(interface)
        messages += added
        routes += further
    netlink.send(messages + routes)


def configure(interface: InterfaceSpec) -> tuple[list[bytes], list[bytes]]:
    """Set one interface's parameters; return the messages for its addresses and its routes."""
    if any(":" in address for address in interface.addresses):
        netlink.set_parameter(f"net/ipv6/conf/{interface.name}/disable_ipv6", "0")
    else:
        netlink.disable_ipv6(interface.name)
    for path, value in interface.sysctls.items():
        family, _, parameter = path.partition("/")
        try:
            netlink.set_parameter(f"net/{family}/{parameter}", value)
        except OSError as error:
            raise Failure("other", f"sysctl net.{path}: {error.strerror}") from error
    index = socket.if_nametoindex(interface.name)
    messages = [netlink.new_address(index, cidr) for cidr in interface.addresses]
    messages.append(netlink.set_up(index))
    gateways = (interface.gateway, interface.gateway6)
    return messages, [netlink.default_route(index, gateway) for gateway in gateways if gateway]


def open_resolver(address: str) -> tuple[socket.socket, socket.socket]:
    """Return the sockets, UDP and TCP, at which this network namespace's questions arrive."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    for sock in (datagrams, streams):
        sock.bind((address, 0))
    streams.listen(64)
    udp, tcp = (sock.getsockname()[1] for sock in (datagrams, streams))
    netlink.redirect_resolver(address, udp, tcp)
    return datagrams, streams


def write_sysctls(sysctls: dict[str, str]) -> None:
    """Set the namespaced kernel parameters that were asked for."""
    for name, value in sysctls.items():
        try:
            with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise Failure("other", f"sysctl {name!r}: {error.strerror}") from error


def protect(spec: ContainerSpec) -> None:
    """Make the root and the listed paths read-only and hide what must not be seen."""
    for path in spec.readonly_paths:
        _cover(path, readonly=True)
    for path in spec.masked_paths:
        _cover(path, readonly=False)
    if spec.readonly_rootfs:
        fd = mounts.open_tree("/", recursive=False)
        os.close(fd)
        mounts.mount("", "/", "", mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_RDONLY)


def _cover(path: str, *, readonly: bool) -> None:
    """Cover one path by descriptor, so that nothing can be swapped in between (CVE-2025-31133)."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        place = mounts.open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise
    finally:
        os.close(root)
    expected = {"/proc": mounts.PROC_SUPER_MAGIC, "/sys": mounts.SYSFS_MAGIC}.get(
        "/" + path.split("/")[1]
    )
    if expected and mounts.filesystem_of(place) != expected:
        raise Failure("other", f"refusing to cover {path}: it is not the kernel's own")
    mode = os.fstat(place).st_mode
    if stat.S_ISLNK(mode):
        raise Failure("other", f"refusing to cover {path}: it is a symbolic link")
    secure = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC
    if readonly:
        tree = mounts.open_tree(f"/proc/self/fd/{place}")
        mounts.mount_setattr(tree, mounts.MOUNT_ATTR_RDONLY | secure, recursive=True)
    elif stat.S_ISDIR(mode):
        tree = mounts.new_filesystem("tmpfs", {"size": "0"}, mounts.MOUNT_ATTR_RDONLY | secure)
    else:
        if os.stat("/dev/null").st_rdev != os.makedev(1, 3):
            raise Failure("other", "refusing to mask with a /dev/null that is not the null device")
        tree = mounts.open_tree("/dev/null", recursive=False)
    mounts.move_mount(tree, place)
    os.close(tree)
    os.close(place)


def open_terminal(process_spec: ProcessSpec, *, console: bool) -> tuple[int, int]:
    """Return (master, slave) of a new terminal of this container, sized and with /dev/console."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    _ioctl_int(master, 0x40045431, 0)  # TIOCSPTLCK: unlock
    slave = _ioctl_int(master, 0x5441, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, by_value=True)
    if process_spec.console_size:
        termios.tcsetwinsize(slave, process_spec.console_size)
    if console:
        number = _ioctl_int(master, 0x80045430, 0)  # TIOCGPTN
        tree = mounts.open_tree(f"/dev/pts/{number}", recursive=False)
        place = os.open("/dev/console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        mounts.move_mount(tree, place)
        os.close(tree)
        os.close(place)
    return master, slave


def _ioctl_int(fd: int, request: int, value: int, *, by_value: bool = False) -> int:
    if by_value:  # TIOCGPTPEER answers with a descriptor
        return int(fcntl.ioctl(fd, request, value))
    buffer = bytearray(value.to_bytes(4, "little"))
    fcntl.ioctl(fd, request, buffer)
    return int.from_bytes(buffer, "little")


def become_user(
    spec: ProcessSpec, program: bytes | None, held: frozenset[str], *, in_user_namespace: bool
) -> dict[str, str]:
    """Take on the user, limits, capabilities and filter of the process; return its environment.

    Order matters: a filter without no_new_privs needs CAP_SYS_ADMIN, so it is loaded before
    capabilities go; with no_new_privs it comes last, so that it can be the stricter.
    """
    user = resolve_user(spec.user, spec.group_add)
    if user is None:
        raise Failure(
            "other",
            f"unable to find user {spec.user.split(':')[0]}: no matching entries in passwd file",
        )
    env = dict(word.partition("=")[::2] for word in spec.env)
    env.setdefault("PATH", DEFAULT_PATH)
    if not env.get("HOME"):
        env["HOME"] = user.home
    for name, soft, hard in spec.rlimits:
        _set_rlimit(name, soft, hard)
    if not spec.terminal:
        # A program that opens /dev/stdout anew must be allowed to, whoever it runs as.
        for fd in (0, 1, 2):
            if not stat.S_ISCHR(os.fstat(fd).st_mode):
                os.fchown(fd, user.uid, user.gid)
    else:
        os.fchown(0, user.uid, os.fstat(0).st_gid)
    wanted = frozenset(spec.capabilities) & held
    # A user namespace gives all capabilities anew, those included that the engine has not.
    bounding = process.held_capabilities() if in_user_namespace else held
    if program and not spec.no_new_privileges:
        seccomp.load(program)
    process.drop_bounding(wanted, bounding)
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    _enter_directory(spec.cwd, user.uid, make=spec.make_cwd)
    if user.uid == 0:
        process.set_capabilities(wanted)
        # Entered again with the final rights: a directory that is not ours to search must fail.
    else:
        os.setresuid(user.uid, user.uid, user.uid)
        process.set_capabilities(frozenset())  # the inheritable ones stay otherwise
    process.prctl(PR_SET_DUMPABLE, 0)  # a change of user sets it anew
    # Changing the user clears the death signal, so it is set only now.
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
    if spec.no_new_privileges:
        process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
        if program:
            seccomp.load(program)
    return env


def _set_rlimit(name: str, soft: int, hard: int) -> None:
    number = getattr(resource, f"RLIMIT_{name.upper()}", None)
    if number is None:
        raise Failure("other", f"invalid rlimit type: {name}")
    infinite = resource.RLIM_INFINITY
    soft, hard = (infinite if value == -1 else value for value in (soft, hard))
    try:
        resource.setrlimit(number, (soft, hard))
    except (OSError, ValueError):
        # Without CAP_SYS_RESOURCE the engine cannot hand out more than it has.
        ceiling = resource.getrlimit(number)[1]
        if ceiling == resource.RLIM_INFINITY:
            raise
        hard = ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(number, (soft, hard))


def _enter_directory(path: str, uid: int, *, make: bool) -> None:
    path = path or "/"
    try:
        os.chdir(path)
    except FileNotFoundError as error:
        if not make:
            text = f'chdir to cwd ("{path}") set in config.json failed: no such file or directory'
            raise Failure("other", text) from error
        try:
            os.makedirs(path, 0o755)
            os.chown(path, uid, -1)
            os.chdir(path)
        except OSError as error:
            raise Failure("other", f"chdir to cwd ({path!r}): {error.strerror}") from error
    except OSError as error:
        raise Failure("other", f"chdir to cwd ({path!r}): {error.strerror}") from error
    # A working directory that is outside of the root has no path (CVE-2024-21626).
    if not os.getcwd().startswith("/"):
        raise Failure("other", "current working directory is outside of container mount namespace")


def set_oom_score(value: int) -> None:
    """Write oom_score_adj; lowering it needs CAP_SYS_RESOURCE, without which it stays."""
    if not value:
        return
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(value))
    except PermissionError:
        return


def confine(profile: str | None) -> None:
    """Let AppArmor take hold with the next exec. Source: apparmor's change_onexec interface."""
    if profile is None:
        return
    path = "/proc/self/attr/apparmor/exec"
    if not os.path.exists(path):  # before Linux 5.8
        path = "/proc/self/attr/exec"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if mounts.filesystem_of(fd) != mounts.PROC_SUPER_MAGIC:
            raise Failure("other", f"refusing to write {path}: it is not the kernel's own")
        os.write(fd, f"exec {profile}".encode())
        os.close(fd)
    except OSError as error:
        raise Failure(
            "other", f"apparmor failed to apply profile {profile}: {error.strerror}"
        ) from error


def close_all_but(*kept: int) -> None:
    """Close every descriptor but the standard streams and `kept`, which close on exec.

    Done before any path is followed that the container chose: a directory of the host that is
    still open would be reached as /proc/self/fd/N, also by execve itself (CVE-2024-21626).
    """
    first = 3
    for fd in sorted(set(kept)):
        process.close_range(first, fd - 1)
        first = max(first, fd + 1)
    process.close_range(first)


def execute(args: tuple[str, ...], env: dict[str, str]) -> None:
    """Replace this process by the user's program. Raises Failure; never returns otherwise."""
    name = args[0]
    if "/" in name:
        candidates = [name]
    else:
        candidates = [f"{part or '.'}/{name}" for part in env.get("PATH", "").split(":")]
    denied = False
    for candidate in candidates:
        try:
            os.execve(candidate, args, env)
        except (FileNotFoundError, NotADirectoryError):
            if "/" in name:
                if os.path.lexists(candidate):  # the script's interpreter is missing
                    message = f'exec: "{name}": no such file or directory'
                    raise Failure("no_such_file", message) from None
                raise Failure("no_such_file", name) from None
        except PermissionError:
            denied = True
            if "/" in name:
                break
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                raise Failure("other", f"exec {candidate}: exec format error") from error
            raise Failure("other", f"exec {candidate}: {error.strerror}") from error
    raise Failure("not_permitted" if denied else "not_found", name)


def join(pidfd: int, *, userns: bool) -> None:
    """Enter every namespace of the container whose init `pidfd` names."""
    # Not to be looked into from inside while our own program is still mapped (CVE-2019-5736).
    process.prctl(PR_SET_DUMPABLE, 0)
    kinds = namespaces.KINDS
    flags = sum(kinds[k] for k in ("net", "ipc", "uts", "cgroup", "pid", "mount"))
    namespaces.setns(pidfd, flags | (namespaces.CLONE_NEWUSER if userns else 0))
    if userns:
        enter_user_namespace()
    os.chdir("/")
