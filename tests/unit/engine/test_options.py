"""What clients may ask of a container, and what they are told when they may not."""

from __future__ import annotations

import pytest

from engine.containers import options
from engine.core.errors import EngineError


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 2**24, "MemorySwap": 2**23}, "larger than memory limit"),
        ({"CapAdd": ["NONSENSE"]}, 'invalid capability: "NONSENSE"'),
        ({"SecurityOpt": ["what=ever"]}, "invalid --security-opt"),
        ({"RestartPolicy": {"Name": "perhaps"}}, "unknown policy 'perhaps'"),
        ({"RestartPolicy": {"Name": "always"}, "AutoRemove": True}, "AutoRemove"),
        ({"Sysctls": {"kernel.panic": "1"}}, "sysctl 'kernel.panic' is not allowed"),
        ({"Binds": ["relative/path:/x:zz"]}, "invalid mode"),
        ({"Binds": ["/a:/x", "/b:/x/"]}, "Duplicate mount point"),
        ({"LogConfig": {"Type": "syslog"}}, "no log driver named 'syslog'"),
        ({"VolumesFrom": ["other"]}, "VolumesFrom is not supported"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "http"}]}}, "invalid port"),
        ({"PidMode": "container:x"}, "PidMode"),
    ],
)
def test_refused_with_a_reason(host, words):
    """Nothing that cannot work is silently ignored."""
    with pytest.raises(EngineError, match="(?i)" + words.replace("(", r"\(")):
        options.validate({}, {"NetworkMode": "bridge", **host})


def test_capabilities():
    """The default set, added to and taken from."""
    assert "CAP_SYS_ADMIN" not in options.capabilities({})
    assert "CAP_SYS_ADMIN" in options.capabilities({"CapAdd": ["sys_admin"]})
    assert options.capabilities({"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}) == ("CAP_CHOWN",)
    assert len(options.capabilities({"Privileged": True})) == 41


def test_limits():
    """Docker's numbers become the kernel's."""
    spec = options.resources({"Memory": 2**24, "NanoCpus": 500_000_000, "PidsLimit": 7})
    assert (spec.memory, spec.memory_swap) == (2**24, 2**25)
    assert (spec.cpu_quota, spec.cpu_period) == (50_000, 100_000)
    assert spec.pids == 7
    assert options.resources({}).pids == options.DEFAULT_PIDS


@pytest.mark.parametrize(
    ("text", "number"), [("KILL", 9), ("SIGTERM", 15), ("1", 1), (None, 15), ("sigint", 2)]
)
def test_signals(text, number):
    """By name or number, in either case."""
    assert options.signal_number(text) == number
