"""An initramfs with Python, the engine and a kernel's modules: all that a guest needs."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.support.images import archive, busybox

TREE = Path(__file__).parents[2]
CACHE = Path(sys.prefix) / "test-images" / "vm"
KERNEL = "linux-image-cloud-amd64"
MODULES = (
    "overlay veth bridge nf_tables nf_nat nft_chain_nat nft_nat nft_masq nft_fib_inet nft_ct "
    "nft_compat nf_conntrack loop ext4 crc32c_generic quota_v2"
).split()
ENTRIES = ("engine.daemon", "engine.supervisor.supervise", "engine.runtime.tree")
PROGRAMS = ("/sbin/apparmor_parser", "/sbin/mkfs.ext4")
LIBRARIES = ("libseccomp.so.2", "libnftables.so.1")
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /new
/bin/busybox mount -t tmpfs -o size=90% tmpfs /new
for name in app bin etc lib lib64 sbin tmp usr; do
  [ -e /$name ] && /bin/busybox cp -a /$name /new/
done
/bin/busybox mkdir -p /new/proc /new/sys /new/dev /new/run /new/data /new/var
exec /bin/busybox switch_root /new /app/start
"""
START = """#!/bin/busybox sh
export PATH=/sbin:/bin:/usr/sbin:/usr/bin
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
ln -sf /proc/self/fd /dev/fd
for name in {modules}; do modprobe $name || echo "no module $name"; done
ip link set lo up
hostname guest
cd /app
PYTHONPATH=/app:/app/site HOME=/tmp {python} -m tests.vm.guest
poweroff -f
"""


def kernel() -> tuple[Path, Path, str]:
    """Return (vmlinuz, unpacked package, version) of Debian's kernel, downloaded once."""
    unpacked = CACHE / "kernel"
    if not unpacked.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        depends = subprocess.run(
            ["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=True
        ).stdout
        name = re.search(r"Depends: (linux-image-\S+)", depends)
        assert name, depends
        subprocess.run(["apt-get", "download", "-q", name[1]], cwd=CACHE, check=True)
        (package,) = CACHE.glob(f"{name[1]}_*.deb")
        part = CACHE / "kernel.part"
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", package, part], check=True)
        package.unlink()
        part.rename(unpacked)
    (image,) = (unpacked / "boot").glob("vmlinuz-*")
    return image, unpacked, image.name.removeprefix("vmlinuz-")


def build(target: Path) -> Path:
    """Write the initramfs below `target` and return the kernel's image."""
    image, package, version = kernel()
    root = target / "root"
    for name in ("bin", "etc", "lib64", "sbin", "tmp", "app/site", "usr/lib"):
        (root / name).mkdir(parents=True)
    _add_busybox(root)
    _add_modules(root, package, version)
    python = Path(os.path.realpath(sys.executable))
    binaries = [_copy(python, root), *_add_python(root)]
    binaries += [_copy(_library(name), root) for name in LIBRARIES]
    binaries += [_copy(Path(name), root) for name in PROGRAMS]
    for library in sorted(_needed(binaries)):
        _copy(Path(library), root)
    _add_engine(root, target)
    _write(root / "init", INIT)
    _write(root / "app" / "start", START.format(modules=" ".join(MODULES), python=python))
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    (root / "etc" / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (root / "etc" / "os-release").write_text('PRETTY_NAME="guest"\nID=guest\n')
    with (target / "initrd").open("wb") as file:
        names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
        command = ["cpio", "-o", "-H", "newc", "--quiet"]
        subprocess.run(command, cwd=root, input=names, stdout=file, check=True)
    return image


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _copy(path: Path, root: Path) -> Path:
    """Put a file at the same place below the root; links are followed."""
    place = root / str(path).lstrip("/")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return path


def _library(name: str) -> Path:
    text = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True)
    found = re.search(rf"{re.escape(name)} .*=> (\S+)", text.stdout)
    assert found, f"{name} is not installed"
    return Path(found[1])


def _needed(binaries: list[Path]) -> set[str]:
    """Return the shared libraries that programs and libraries ask for."""
    found: set[str] = set()
    for path in binaries:
        text = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        found |= set(re.findall(r"(/\S+) \(0x", text))
    return found


def _add_busybox(root: Path) -> None:
    place = root / "bin" / "busybox"
    shutil.copy("/bin/busybox", place)
    for name in ("sbin/modprobe", "bin/sh"):
        (root / name).symlink_to("/bin/busybox")


def _add_modules(root: Path, package: Path, version: str) -> None:
    """Add the modules that are wanted with those that they need."""
    subprocess.run(["/sbin/depmod", "-b", package, version], check=True)
    source = package / "lib" / "modules" / version
    dependencies = {}
    for line in (source / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        dependencies[path] = rest.split()
    names = {Path(path).name.split(".")[0].replace("-", "_"): path for path in dependencies}
    target = root / "usr" / "lib" / "modules" / version
    wanted = [names[name] for name in MODULES if name in names]
    for path in [*wanted, *(more for one in wanted for more in dependencies[one])]:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / path, target / path)
    for name in ("modules.dep", "modules.alias", "modules.builtin", "modules.symbols"):
        shutil.copy(source / name, target / name)
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")


def _add_python(root: Path) -> list[Path]:
    """Add the standard library and the packages that the engine imports; return what is binary."""
    library = Path(sysconfig.get_path("stdlib"))
    unwanted = shutil.ignore_patterns(
        "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-*", "turtledemo",
        "dist-packages", "site-packages",
    )  # fmt: skip
    shutil.copytree(library, root / str(library).lstrip("/"), ignore=unwanted)
    binaries = list((library / "lib-dynload").glob("*.so"))
    for entry in ENTRIES:
        importlib.import_module(entry)
    site = Path(sysconfig.get_path("purelib"))
    tops = {
        Path(str(module.__file__)).relative_to(site).parts[0]
        for module in list(sys.modules.values())
        if str(getattr(module, "__file__", "")).startswith(str(site))
    }
    # Some look for their own version where packages are described.
    tops |= {path.name for path in site.glob("*.dist-info") if path.name.split("-")[0] in tops}
    for name in sorted(tops - {"_pytest", "pytest"}):
        source = site / name
        target = root / "app" / "site" / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        binaries += source.rglob("*.so*")
    return [path for path in binaries if stat.S_ISREG(path.stat().st_mode)]


def _add_engine(root: Path, target: Path) -> None:
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TREE / "engine", root / "app" / "engine", ignore=caches)
    shutil.copytree(TREE / "tests" / "support", root / "app" / "tests" / "support", ignore=caches)
    shutil.copytree(TREE / "tests" / "vm", root / "app" / "tests" / "vm", ignore=caches)
    layout = busybox().write(target / "layout", "busybox")
    archive(layout, root / "app" / "busybox.tar")
