"""What clients may ask of a container, and what they are told when they may not."""

from __future__ import annotations

import pytest

from engine.containers import limits, options
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
        ({"VolumeDriver": "nfs", "Binds": ["data:/x"]}, "volume plugin nfs"),
        ({"DeviceRequests": [{"Capabilities": [["gpu"]]}]}, "could not select device driver"),
        ({"StorageOpt": {"size": "1g"}}, "storage-opt"),
        ({"MemorySwappiness": 101}, "swappiness range is 0-100"),
        ({"BlkioWeight": 5}, "from 10 to 1000"),
        ({"CpuQuota": 10}, "CPU cfs quota"),
        ({"CpusetCpus": "4096"}, "Requested CPUs are not available"),
        ({"CpusetCpus": "a"}, "Invalid value a for cpuset cpus"),
        ({"Ulimits": [{"Name": "wings", "Soft": 1, "Hard": 1}]}, "invalid ulimit type: wings"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}, "soft limit must be less"),
        ({"DeviceCgroupRules": ["c 1:3 x"]}, "invalid device cgroup rule"),
        ({"OomScoreAdj": 2000}, "oom score adj"),
        ({"CgroupParent": "/a/../../b"}, "invalid cgroup parent"),
        ({"Annotations": {"": "x"}}, "invalid Annotation"),
        ({"NetworkMode": "container:x", "Dns": ["1.1.1.1"]}, "conflicting options: dns"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/x", "Source": "/y"}]}, "field Source"),
        (
            {
                "Mounts": [
                    {"Type": "volume", "Target": "/x", "BindOptions": {"Propagation": "shared"}}
                ]
            },
            "field BindOptions",
        ),
        ({"Tmpfs": {"/x": "wings"}}, "invalid tmpfs option"),
        ({"CpuCount": 2}, "only supported on Windows"),
        (
            {"LogConfig": {"Type": "json-file", "Config": {"compress": "true"}}},
            "compress cannot be true",
        ),
        ({"PortBindings": {"80/tcp": [{"HostPort": "http"}]}}, "invalid port"),
        ({"PidMode": "other"}, "invalid PID mode: other"),
    ],
)
def test_refused_with_a_reason(host, words):
    """Nothing that cannot work is silently ignored."""
    with pytest.raises(EngineError, match="(?i)" + words.replace("(", r"\(")):
        options.validate({}, {"NetworkMode": "bridge", **host}, "")


def test_capabilities():
    """The default set, added to and taken from."""
    assert "CAP_SYS_ADMIN" not in options.capabilities({})
    assert "CAP_SYS_ADMIN" in options.capabilities({"CapAdd": ["sys_admin"]})
    assert options.capabilities({"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]}) == ("CAP_CHOWN",)
    assert len(options.capabilities({"Privileged": True})) == 41


def test_limits():
    """Docker's numbers become the kernel's."""
    spec = limits.resources({"Memory": 2**24, "NanoCpus": 500_000_000, "PidsLimit": 7})
    assert (spec.memory, spec.memory_swap) == (2**24, 2**25)
    assert (spec.cpu_quota, spec.cpu_period) == (50_000, 100_000)
    assert spec.pids == 7
    assert limits.resources({}).pids == limits.DEFAULT_PIDS


@pytest.mark.parametrize(
    ("text", "number"), [("KILL", 9), ("SIGTERM", 15), ("1", 1), (None, 15), ("sigint", 2)]
)
def test_signals(text, number):
    """By name or number, in either case."""
    assert options.signal_number(text) == number
