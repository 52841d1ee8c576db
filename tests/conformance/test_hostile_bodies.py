"""Bodies that no client sends: refused with a message, nothing changed, the daemon alive."""

from __future__ import annotations

import random

WRONG = [5, "text", True, [1], ["a"], {"a": 1}, [None], [[]], [{}], -1, 2**70, "\0", ""]
CONFIG = (
    "Hostname Domainname User Image WorkingDir StopSignal Tty OpenStdin StopTimeout Env Cmd "
    "Entrypoint Shell ExposedPorts Volumes Labels Healthcheck HostConfig NetworkingConfig"
).split()
HOST = (
    "Binds Tmpfs Mounts Memory NanoCpus CpuShares CpusetCpus PidsLimit Ulimits Devices "
    "DeviceCgroupRules DeviceRequests PortBindings RestartPolicy LogConfig NetworkMode PidMode "
    "IpcMode CapAdd CapDrop SecurityOpt Sysctls ExtraHosts Dns Links VolumesFrom ShmSize "
    "BlkioDeviceReadBps BlkioWeightDevice GroupAdd CgroupParent ConsoleSize Annotations"
).split()


def test_types_of_create(engine):
    """Every field with every wrong type: a client's fault, never the engine's."""
    for name in CONFIG + HOST:
        for value in WRONG:
            body = {"Image": "busybox", "Cmd": ["true"]}
            if name in CONFIG:
                body[name] = value
            else:
                body["HostConfig"] = {name: value}
            status, answer = engine.request("POST", "/containers/create", body)
            assert status in (201, 400, 404, 409, 501), (name, value, status, answer)
            if status != 201:
                assert answer["message"]
    assert engine.request("GET", "/_ping")[0] == 200
    engine.remove_containers()
    for row in engine.request("GET", "/volumes")[1]["Volumes"]:
        engine.request("DELETE", f"/volumes/{row['Name']}")


def test_types_of_exec_and_update(engine):
    """The same for what is asked of a container that runs."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    for name in ("Cmd", "Env", "User", "Tty", "WorkingDir", "DetachKeys", "ConsoleSize"):
        for value in WRONG:
            body = {"Cmd": ["true"], name: value}
            status, answer = engine.request("POST", "/containers/box/exec", body)
            assert status in (201, 400), (name, value, status, answer)
    for name in ("Memory", "PidsLimit", "CpusetCpus", "RestartPolicy", "BlkioDeviceReadBps"):
        for value in WRONG:
            status, answer = engine.request("POST", "/containers/box/update", {name: value})
            assert status in (200, 400, 409, 500), (name, value, status, answer)
    assert engine.docker("exec", "box", "echo", "alive").stdout == "alive\n"


def test_archives_of_noise(engine):
    """Random bytes, and an archive that was cut and bent."""
    engine.docker("create", "--name", "box", "busybox")
    noise = random.Random(7)
    for length in (0, 1, 511, 512, 513, 5000):
        body = noise.randbytes(length)
        status, answer = engine.request("PUT", "/containers/box/archive?path=/tmp", body)
        assert status in (200, 400), (length, status, answer)
    assert engine.request("GET", "/_ping")[0] == 200
