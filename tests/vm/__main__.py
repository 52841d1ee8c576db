"""`./hythe test vm`: the engine on pure cgroup v2 and with AppArmor, in a small virtual machine.

Development machines have hybrid hierarchies, where controllers are v1. The guest has a Debian
kernel, an initramfs made here, and nothing else; it is emulated, so that it runs anywhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.vm.initramfs import build

QEMU = "qemu-system-x86_64"
LIMIT = 240  # seconds


def main() -> int:
    """Build, boot, judge; return the exit code."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        image = build(directory)
        command = [QEMU, "-m", "1536", "-smp", "2", "-nographic", "-no-reboot"]
        command += ["-accel", "tcg", "-cpu", "Nehalem"]
        command += ["-kernel", str(image), "-initrd", str(directory / "initrd")]
        command += ["-append", "console=ttyS0 panic=-1 quiet cgroup_no_v1=all apparmor=1"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=LIMIT,
                check=False,
            )
            text = done.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as late:
            text = (late.stdout or b"").decode(errors="replace") + f"\nno end in {LIMIT} s\n"
    print(text)
    passed = re.findall(r"ok (\w+)\r?$", text, re.MULTILINE)
    whole = re.search(r"^done (\d+)\r?$", text, re.MULTILINE)
    if not whole or len(passed) != int(whole[1]):
        print(f"{len(passed)} checks passed of {whole[1] if whole else 'an unknown number'}")
        return 1
    print(f"all {len(passed)} checks passed in the virtual machine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
