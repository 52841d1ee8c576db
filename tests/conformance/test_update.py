"""docker update: limits that change under a running container."""

from __future__ import annotations


def limits(engine, name):
    """Return (memory, nano cpus, pids, restart policy) as the engine tells them."""
    form = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
    form += " {{.HostConfig.RestartPolicy.Name}}"
    return engine.docker("inspect", "-f", form, name).stdout.split()


def test_limits_change_while_it_runs(engine):
    """The new limits bite: more processes than before, then fewer; memory in the figures."""
    words = ("-d", "--name", "grow", "-m", "64m", "--pids-limit", "4", "busybox", "sleep", "1000")
    engine.docker("run", *words)
    many = "for i in 1 2 3 4 5 6 7 8; do sleep 0.5 & done; wait"
    assert "can't fork" in engine.docker("exec", "grow", "sh", "-c", many, check=None).stderr
    changed = ("-m", "32m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "40")
    engine.docker("update", *changed, "--restart", "unless-stopped", "grow")
    assert limits(engine, "grow") == ["33554432", "500000000", "40", "unless-stopped"]
    assert "can't fork" not in engine.docker("exec", "grow", "sh", "-c", many).stderr
    figures = engine.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "grow").stdout
    assert "/ 32MiB" in figures
    engine.docker("update", "-m", "128m", "--memory-swap", "256m", "grow")
    figures = engine.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "grow").stdout
    assert "/ 128MiB" in figures
    engine.docker("rm", "-f", "grow")


def test_what_contradicts_is_refused(engine):
    """The words are Docker's, and nothing changes."""
    engine.docker("create", "--name", "still", "-m", "64m", "busybox")
    result = engine.docker("update", "-m", "512m", "still", check=1)
    assert "update the memoryswap at the same time" in result.stderr
    assert limits(engine, "still")[0] == "67108864"
    engine.docker("rm", "still")
    engine.docker("create", "--rm", "--name", "brief", "busybox")
    result = engine.docker("update", "--restart", "always", "brief", check=1)
    assert "AutoRemove is enabled" in result.stderr
    engine.docker("rm", "brief")
