"""The spawner: warm, single-threaded, forks a supervisor for every message that comes in.

Started by `engine.runtime` with a packet socket whose number HYTHE_SPAWNER_FD tells. A message
carries the state directory and, as its one descriptor, the new supervisor's control socket.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from engine.kernel import mount, process, seccomp
from engine.supervisor import supervise, wire


def hide_interpreter() -> None:
    """Run again from a read-only mount of the interpreter that nobody else sees.

    A container can make the kernel run /proc/self/exe, which is then the interpreter of the
    process that was about to start its program, and keep hold of that file (CVE-2019-5736). On
    this mount it can be neither written nor given another mode.
    """
    if os.environ.pop("HYTHE_INTERPRETER", ""):
        return
    tree = mount.open_tree(os.path.realpath("/proc/self/exe"), recursive=False)
    mount.mount_setattr(tree, mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID)
    environment = {**os.environ, "HYTHE_INTERPRETER": "hidden"}
    # Python finds its environment by the name it was called by.
    command = [sys.executable, "-m", "engine.supervisor"]
    os.execve(f"/proc/self/fd/{tree}", command, environment)


def main() -> None:
    """Serve until the daemon closes its end."""
    hide_interpreter()
    engine = socket.socket(fileno=int(os.environ.pop("HYTHE_SPAWNER_FD")))
    engine.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Supervisors outlive the spawner and report for themselves; nobody waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    process.set_name("hythe-spawner")
    first = wire.receive(engine)
    if first is None:
        return
    filters = {}
    for names in first[0]["filters"]:
        key = ",".join(sorted(names))
        filters[key] = seccomp.compile_profile(seccomp.default_profile(), frozenset(names))
    wire.send(engine, {"ready": True})
    gc.collect()
    gc.freeze()
    # Forked children share these pages as long as no collection touches them.
    gc.disable()
    while (received := wire.receive(engine)) is not None:
        message, fds = received
        if os.fork() == 0:
            engine.close()
            supervise.main(socket.socket(fileno=fds[0]), message["directory"], filters)
        os.close(fds[0])


if __name__ == "__main__":
    main()
