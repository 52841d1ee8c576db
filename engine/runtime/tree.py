"""A container's tree as a tar stream, in and out, by a process that sees nothing else.

Run as `python -m engine.runtime.tree REQUEST`, REQUEST being JSON. The process enters the
container's mounts, or a view of them made in a mount namespace of its own, and is confined to
them by chroot before it looks at the first path: links lead nowhere outside (CVE-2018-15664). It
loads nothing from there: every module is imported before, names of users are read from files,
never through the C library (CVE-2019-14271).

Shape: {"op": "stat"|"get"|"put"|"export"|"diff", "path", "pid" of a running container or null,
       "rootfs" and "mounts" as lists of Mount fields, "layers", "scratch", and for put
       "keep_kinds", "user" and "read_only"}. For volumes "directory" stands in place of all that
       tells of a container, and there are also "list", "read", "write", "remove", "make", and
       "copy_up" with "layers" and "scratch". The first line of stdout is {"stat"} or {"ok"} or
       {"error", "kind": "not_found"|"invalid"|"forbidden"|"other"}; a tar stream may follow.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import stat
import sys
import tarfile
from typing import Any

from engine.core.tars import BoundedEntry
from engine.kernel import mount as mounts
from engine.kernel import namespaces, process
from engine.snapshots.diff import Kind, changes
from engine.snapshots.unpack import clear, make_entry, set_xattrs
from engine.supervisor import init
from engine.supervisor.users import resolve_user

PIECE = 1 << 20
MOST_MEMORY = 1 << 30  # bytes; an archive may be made to cost more than any needs
# Go's os.FileMode, which the API shows instead of the kernel's mode.
_GO_MODES = (
    (stat.S_ISDIR, 1 << 31),
    (stat.S_ISLNK, 1 << 27),
    (stat.S_ISBLK, 1 << 26),
    (stat.S_ISCHR, 1 << 26 | 1 << 21),
    (stat.S_ISFIFO, 1 << 25),
    (stat.S_ISSOCK, 1 << 24),
)
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class Refused(Exception):
    """What the client is told."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _say(**line: object) -> None:
    sys.stdout.buffer.write(json.dumps(line).encode() + b"\n")
    sys.stdout.buffer.flush()


def _enter(request: dict[str, Any]) -> None:
    """Make the tree this process's root."""
    if "directory" in request:  # a volume's
        os.chroot(request["directory"])
        os.chdir("/")
        return
    if request["pid"]:
        theirs = f"/proc/{request['pid']}/ns/user"
        inside = os.open(f"/proc/{request['pid']}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        with open(f"/proc/{request['pid']}/cgroup", encoding="ascii", errors="replace") as groups:
            if request["id"] not in groups.read():
                # The number is somebody else's by now; that might be the host's own namespace.
                raise Refused("other", "the container has ended")
        if os.readlink(theirs) != os.readlink("/proc/self/ns/user"):
            namespaces.join_path(theirs, namespaces.CLONE_NEWUSER)
            init.enter_user_namespace()
        namespaces.setns(inside, namespaces.CLONE_NEWNS)
        os.close(inside)
        os.chroot("/")
        os.chdir("/")
        return
    scratch = request["scratch"]
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    user_mounts = [
        mounts.Mount(**{**item, "options": tuple(item["options"])}) for item in request["mounts"]
    ]
    trees = [init.take(item, scratch) for item in user_mounts]
    if request["op"] == "put":
        for fields in request["rootfs"]:
            init.mount_rootfs(mounts.Mount(**fields), scratch)
    else:
        _mount_view(request["layers"], scratch)
    root = os.open(scratch, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for item, tree in zip(user_mounts, trees, strict=True):
        if tree is not None:
            init.attach(root, item, tree)
    if request.get("read_only"):
        mounts.mount_setattr(root, mounts.MOUNT_ATTR_RDONLY)
    os.fchdir(root)
    os.close(root)
    os.chroot(".")


def _mount_view(layers: list[str], scratch: str) -> None:
    """Show the layers, with places for mounts made in memory and forgotten afterwards."""
    mounts.mount("tmpfs", scratch, "tmpfs", 0, "mode=755")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{scratch}/{name}")
    found = os.stat(layers[0])
    os.chmod(f"{scratch}/upper", stat.S_IMODE(found.st_mode))
    os.chown(f"{scratch}/upper", found.st_uid, found.st_gid)
    os.utime(f"{scratch}/upper", ns=(found.st_atime_ns, found.st_mtime_ns))
    data = f"lowerdir={':'.join(layers)},upperdir={scratch}/upper,workdir={scratch}/work"
    mounts.mount("overlay", f"{scratch}/root", "overlay", 0, data)
    tree = mounts.open_tree(f"{scratch}/root")
    place = os.open(scratch, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts.move_mount(tree, place)
    os.close(tree)
    os.close(place)


def _clean(path: str) -> str:
    """Return an absolute path without dots in the middle; a last "/" or "/." stays."""
    clean = os.path.normpath("/" + path).replace("//", "/", 1) if path else "/"
    if clean != "/" and path.endswith("/."):
        return clean + "/."
    if clean != "/" and path.endswith("/"):
        return clean + "/"
    return clean


def _base(path: str) -> str:
    if path.endswith("/."):
        return "."
    return os.path.basename(path.rstrip("/")) or "/"


def _look(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        raise Refused("not_found", path) from None
    except NotADirectoryError:
        raise Refused("invalid", "not a directory") from None


def _describe(path: str, found: os.stat_result) -> dict[str, Any]:
    mode = stat.S_IMODE(found.st_mode) & 0o777
    mode |= sum(bit for test, bit in _GO_MODES if test(found.st_mode))
    mode |= sum(bit for flag, bit in _GO_BITS if found.st_mode & flag)
    target = ""
    if stat.S_ISLNK(found.st_mode):
        target = os.path.realpath(path)
    return {
        "name": _base(path),
        "size": found.st_size,
        "mode": mode,
        "mtime_ns": found.st_mtime_ns,
        "linkTarget": target,
    }


class Packer:
    """Writes files of the current root into a tar stream, hard links as links."""

    def __init__(self) -> None:
        self.tar = tarfile.open(  # noqa: SIM115 - `close` is the end of the stream
            fileobj=sys.stdout.buffer,
            mode="w|",
            format=tarfile.PAX_FORMAT,
            bufsize=PIECE,
            errors="surrogateescape",
        )
        self._seen: dict[tuple[int, int], str] = {}

    def add(self, path: str, name: str) -> None:
        """Add one file; one that vanished meanwhile, and sockets, are left out."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(found.st_mode)
        info.uid, info.gid = found.st_uid, found.st_gid
        info.mtime = found.st_mtime_ns // 1_000_000_000
        kind = found.st_mode
        if stat.S_ISREG(kind):
            key = (found.st_dev, found.st_ino)
            if found.st_nlink > 1 and key in self._seen:
                info.type, info.linkname = tarfile.LNKTYPE, self._seen[key]
                self.tar.addfile(info)
                return
            self._seen[key] = name
            self._add_file(path, info)
            return
        if stat.S_ISDIR(kind):
            info.type, info.name = tarfile.DIRTYPE, name.rstrip("/") + "/"
        elif stat.S_ISLNK(kind):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        elif stat.S_ISFIFO(kind):
            info.type = tarfile.FIFOTYPE
        elif stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
            info.type = tarfile.CHRTYPE if stat.S_ISCHR(kind) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
        else:
            return
        _read_xattrs(path, info)
        self.tar.addfile(info)

    def _add_file(self, path: str, info: tarfile.TarInfo) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            return
        with open(fd, "rb", buffering=0) as file:
            info.size = os.fstat(fd).st_size
            _read_xattrs(path, info)
            self.tar.addfile(info, _Exactly(file, info.size))  # type: ignore[arg-type]

    def whiteout(self, path: str) -> None:
        """Say that a path is gone, as image layers do."""
        self.tar.addfile(tarfile.TarInfo(path))

    def tree(self, path: str, name: str) -> None:
        """Add a file, or a directory with all in it, on this filesystem or another."""
        waiting = [(path, name)]
        while waiting:
            path, name = waiting.pop()
            self.add(path, name)
            if os.path.islink(path.rstrip("/")) and not path.endswith(("/", "/.")):
                continue
            try:
                entries = sorted(os.listdir(path), reverse=True)
            except (NotADirectoryError, FileNotFoundError):
                continue
            above, shown = path.rstrip("/"), name.rstrip("/")
            waiting += [(f"{above}/{entry}", f"{shown}/{entry}") for entry in entries]

    def close(self) -> None:
        """Write the end of the archive."""
        self.tar.close()
        sys.stdout.buffer.flush()


class _Exactly:
    """A file that gives as many bytes as were promised, however it changes meanwhile."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        """Return the next bytes; zeros when the file became shorter."""
        size = min(size, self._left)
        data: bytes = self._file.read(size)
        self._left -= size
        while len(data) < size:
            more = self._file.read(size - len(data))
            data += more or bytes(size - len(data))
        return data


def _read_xattrs(path: str, info: tarfile.TarInfo) -> None:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return
    found = {}
    for name in names:
        if name == "security.capability" or name.startswith("user."):
            value = os.getxattr(path, name, follow_symlinks=False)
            found[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    info.pax_headers = found


def _get(request: dict[str, Any]) -> None:
    path = _clean(request["path"])
    found = _look(path)
    _say(stat=_describe(path, found))
    if request["op"] == "stat":
        return
    packer = Packer()
    base = _base(path)
    # A volume's names are relative: its root has no place of its own.
    packer.tree(path, ("." if "directory" in request else "") if base == "/" else base)
    packer.close()


def _export() -> None:
    _say(ok=True)
    packer = Packer()
    for name in sorted(os.listdir("/")):
        packer.tree(f"/{name}", name)
    packer.close()


def _see_layers(request: dict[str, Any]) -> list[str]:
    """Make directories with the bare layers this process's root; return their names in it.

    What a container swaps for a link meanwhile leads nowhere but to its own layers.
    """
    scratch = request["scratch"]
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    mounts.mount("tmpfs", scratch, "tmpfs", 0, "mode=700,size=1m")
    names = []
    for number, layer in enumerate(request["layers"]):
        names.append(f"/{number}")
        os.mkdir(f"{scratch}/{number}")
        mounts.mount(layer, f"{scratch}/{number}", "", mounts.MS_BIND)
    os.chroot(scratch)
    os.chdir("/")
    return names


def _changes(request: dict[str, Any]) -> None:
    """Tell what differs from the image, as JSON."""
    found = changes(_see_layers(request))
    rows = [{"Path": item.path, "Kind": int(item.kind)} for item in found]
    _say(ok=True)
    sys.stdout.buffer.write(json.dumps(rows).encode())
    sys.stdout.buffer.flush()


def _diff(request: dict[str, Any]) -> None:
    """Write the topmost layer as an image layer, with `.wh.` files for what is gone."""
    layers = _see_layers(request)
    _say(ok=True)
    packer = Packer()
    for change in changes(layers):
        name = change.path.removeprefix("/")
        parent, base = os.path.split(name)
        if change.kind is Kind.DELETED:
            packer.whiteout(f"{parent}/.wh.{base}".lstrip("/"))
            continue
        packer.add(change.source, name)
        if change.opaque:
            packer.whiteout(f"{name}/.wh..wh..opq")
    packer.close()


def _put(request: dict[str, Any]) -> None:
    path = _clean(request["path"])
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise Refused("not_found", path) from None
    except NotADirectoryError:
        found = None
    if found is None or not stat.S_ISDIR(found.st_mode):
        raise Refused("invalid", "extraction point is not a directory")
    real = os.path.realpath(path)
    if request["read_only"] and found.st_dev == os.stat("/").st_dev:
        raise Refused("forbidden", "container rootfs is marked read-only")
    if os.statvfs(real).f_flag & os.ST_RDONLY:
        raise Refused("forbidden", "mounted volume is marked read-only")
    owner = None
    if request["user"] is not None:
        owner = resolve_user(request["user"], ())
        if owner is None:
            raise Refused("invalid", f"unable to find user {request['user']}")
    directories: list[tuple[str, int]] = []
    os.umask(0)
    if request.get("clear"):
        for name in os.listdir(real):
            clear(f"{real}/{name}")
    try:
        with tarfile.open(
            fileobj=sys.stdin.buffer,
            mode="r|*",
            bufsize=PIECE,
            errors="surrogateescape",
            tarinfo=BoundedEntry,
        ) as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined] # else every entry is kept
                _extract(tar, member, real, directories, keep_kinds=request["keep_kinds"])
                if owner and not member.islnk():
                    place = _inside(real, member.name)
                    os.chown(place, owner.uid, owner.gid, follow_symlinks=False)
    except tarfile.ReadError as error:
        if "empty" not in str(error):
            raise Refused("invalid", f"invalid tar: {error}") from error
    for place, moment in reversed(directories):
        os.utime(place, ns=(moment, moment), follow_symlinks=False)
    _say(ok=True)


def _inside(directory: str, name: str) -> str:
    return os.path.normpath(f"{directory}/{os.path.normpath('/' + name)}").replace("//", "/", 1)


def _extract(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    directory: str,
    directories: list[tuple[str, int]],
    *,
    keep_kinds: bool,
) -> None:
    place = _inside(directory, member.name)
    os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
    try:
        is_directory: bool | None = stat.S_ISDIR(os.lstat(place).st_mode)
    except FileNotFoundError:
        is_directory = None
    moment = int(member.mtime * 1_000_000_000)
    if is_directory is not None and is_directory != member.isdir():
        if place == directory:
            return
        if keep_kinds:
            here, there = (
                ("directory", "non-directory")
                if is_directory
                else (
                    "non-directory",
                    "directory",
                )
            )
            raise Refused("invalid", f'cannot overwrite {here} "{place}" with {there} "{place}"')
        clear(place)
    if member.isdir():
        os.makedirs(place, exist_ok=True)
        directories.append((place, moment))
    else:
        if is_directory is False:
            clear(place)
        link = member.linkname
        if member.islnk():
            member.linkname = _inside(directory, link)
        make_entry(tar, member, place)
    if member.islnk():
        return
    os.chown(place, member.uid, member.gid, follow_symlinks=False)
    set_xattrs(place, member)
    if not member.issym():
        os.chmod(place, stat.S_IMODE(member.mode))
    if not member.isdir():
        os.utime(place, ns=(moment, moment), follow_symlinks=False)


def _list(request: dict[str, Any]) -> None:
    """Tell what a directory holds, one object per name."""
    path = _clean(request["path"])
    rows = []
    try:
        for name in sorted(os.listdir(path)):
            place = f"{path}/{name}"
            try:
                found = os.lstat(place)
            except FileNotFoundError:
                continue  # it went meanwhile
            rows.append(
                {
                    "Name": name,
                    "Kind": _kind(found.st_mode),
                    "Size": found.st_size,
                    "Mode": stat.S_IMODE(found.st_mode),
                    "Uid": found.st_uid,
                    "Gid": found.st_gid,
                    "ModifiedNs": found.st_mtime_ns,
                    "Target": os.readlink(place) if stat.S_ISLNK(found.st_mode) else "",
                }
            )
    except FileNotFoundError:
        raise Refused("not_found", path) from None
    except NotADirectoryError:
        raise Refused("invalid", f"{path} is not a directory") from None
    _say(ok=True)
    sys.stdout.buffer.write(json.dumps(rows).encode())
    sys.stdout.buffer.flush()


def _kind(mode: int) -> str:
    for test, word in (
        (stat.S_ISDIR, "directory"),
        (stat.S_ISREG, "file"),
        (stat.S_ISLNK, "link"),
    ):
        if test(mode):
            return word
    return "other"


def _read(request: dict[str, Any]) -> None:
    """Write the bytes of one file; links are followed, inside the root."""
    path = _clean(request["path"])
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Refused("not_found", path) from None
    # Looked at before it is opened: opening a device already does something.
    found = os.fstat(place)
    if not stat.S_ISREG(found.st_mode):
        raise Refused("invalid", f"{path} is not a regular file")
    above = os.open(os.path.dirname(os.path.realpath(path)), os.O_PATH | os.O_CLOEXEC)
    name = os.path.basename(os.path.realpath(path))
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    if not os.path.samestat(os.fstat(fd), found):
        raise Refused("invalid", f"{path} was replaced")
    with open(fd, "rb", buffering=0) as file:
        _say(size=found.st_size)
        while data := file.read(PIECE):
            sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _write(request: dict[str, Any]) -> None:
    """Put what comes in into a file, whole or not at all; its owner and mode stay."""
    path = os.path.realpath(_clean(request["path"]))
    above, name = os.path.split(path)
    if not name or os.path.isdir(path):
        raise Refused("invalid", f"{path} is a directory")
    # A name that nobody can have taken, by a pipe or a device for instance.
    part = f"{above}/.{secrets.token_hex(8)}.part"
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileNotFoundError:
        raise Refused("not_found", above) from None
    try:
        with open(fd, "wb", buffering=0) as file:
            while data := sys.stdin.buffer.read(PIECE):
                file.write(data)
            if os.path.isfile(path):
                found = os.stat(path)
                os.fchown(fd, found.st_uid, found.st_gid)
                os.fchmod(fd, stat.S_IMODE(found.st_mode))
        os.rename(part, path)
    except BaseException:
        os.unlink(part)
        raise
    _say(ok=True)


def _remove(request: dict[str, Any]) -> None:
    path = _clean(request["path"])
    if path == "/":
        raise Refused("invalid", "the root cannot be removed")
    if not os.path.lexists(path):
        raise Refused("not_found", path)
    clear(path)
    _say(ok=True)


def _make(request: dict[str, Any]) -> None:
    path = _clean(request["path"])
    try:
        os.makedirs(path, 0o755)
    except FileExistsError:
        raise Refused("invalid", f"{path} exists") from None
    _say(ok=True)


def copy_up(request: dict[str, Any]) -> None:
    """Copy what the image has at "path" into an empty volume, owners and modes included.

    The process sees the image's tree, read-only, and the volume, and nothing else: links of the
    image, also those that one of its layers lays for the next, lead nowhere.
    """
    scratch, layers = request["scratch"], request["layers"]
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    volume = mounts.open_tree(request["directory"])
    mounts.mount("tmpfs", scratch, "tmpfs", 0, "mode=700,size=1m")
    for name in ("image", "volume"):
        os.mkdir(f"{scratch}/{name}")
    if len(layers) == 1:
        mounts.mount(layers[0], f"{scratch}/image", "", mounts.MS_BIND)
    else:
        data = f"lowerdir={':'.join(layers)}"
        mounts.mount("overlay", f"{scratch}/image", "overlay", mounts.MS_RDONLY, data)
    target = os.open(f"{scratch}/volume", os.O_PATH | os.O_CLOEXEC)
    mounts.move_mount(volume, target)
    os.close(target)
    os.close(volume)
    os.chroot(scratch)
    os.chdir("/")
    image = os.open("/image", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = mounts.open_in_root(image, request["path"], os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        _say(ok=True)
        return
    into = os.open("/volume", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if not os.listdir(into):
        try:
            _copy_directory(source, into)
        except BaseException:
            # Half a copy would be taken for a volume in use: the next start begins anew.
            for name in os.listdir(into):
                clear(f"/volume/{name}")
            raise
    _say(ok=True)


def _copy_directory(source: int, target: int) -> None:
    """Copy a directory's own attributes and all in it; both are descriptors."""
    for name in os.listdir(source):
        found = os.lstat(name, dir_fd=source)
        if stat.S_ISDIR(found.st_mode):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.mkdir(name, 0o700, dir_fd=target)
            below, into = (os.open(name, flags, dir_fd=fd) for fd in (source, target))
            try:
                _copy_directory(below, into)
            finally:
                os.close(below)
                os.close(into)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(source, target, name)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
        elif not stat.S_ISSOCK(found.st_mode):
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    _copy_attributes(source, target)


def _copy_file(source: int, target: int, name: str) -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    below = os.open(name, os.O_RDONLY | flags, dir_fd=source)
    into = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
    try:
        while os.sendfile(into, below, None, PIECE * 64):
            continue
        _copy_attributes(below, into)
    finally:
        os.close(below)
        os.close(into)


def _copy_attributes(source: int, target: int) -> None:
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name in os.listxattr(source):
        if name == "security.capability" or name.startswith("user."):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


# These see layers, each at a place of its own; the others see one tree.
_OF_LAYERS = {"diff": _diff, "changes": _changes, "copy_up": copy_up}
_OPERATIONS = {
    "stat": _get,
    "get": _get,
    "put": _put,
    "export": lambda _request: _export(),
    "list": _list,
    "read": _read,
    "write": _write,
    "remove": _remove,
    "make": _make,
}


def main() -> int:
    """Run for the argument; return the exit code."""
    request = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    # What was begun is undone when the client went away in the middle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    process.forbid_imports()
    try:
        operation = request["op"]
        if operation in _OF_LAYERS:
            _OF_LAYERS[operation](request)
        else:
            _enter(request)
            _OPERATIONS[operation](request)
    except Refused as refusal:
        _say(error=str(refusal), kind=refusal.kind)
    except init.Failure as failure:
        _say(error=failure.message, kind="other")
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _say(error=f"{error.strerror}{where}", kind="other")
    except MemoryError:
        _say(error="invalid tar: it takes too much memory", kind="invalid")
    except (ValueError, EOFError, tarfile.TarError) as error:
        _say(error=f"invalid tar: {error}", kind="invalid")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
