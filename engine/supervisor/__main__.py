"""The spawner: warm, single-threaded, forks a supervisor for every message that comes in.

Started by `engine.runtime` with a packet socket whose number HYTHE_SPAWNER_FD tells. A message
carries the state directory and, as its one descriptor, the new supervisor's control socket.
"""

from __future__ import annotations

import gc
import os
import signal
import socket

from engine.kernel import process, seccomp
from engine.supervisor import supervise, wire


def main() -> None:
    """Serve until the daemon closes its end."""
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
