"""Every option of `docker run`, seen from inside the container or in the kernel's own files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from engine.kernel import cgroups
from tests.support.engine import wait_until


def inside(engine, *words):
    """Return what a shell command inside a new container prints; options come before it."""
    *options, command = words
    return engine.docker("run", "--rm", *options, "busybox", "sh", "-c", command).stdout.strip()


def idle(engine, name, *options):
    """Run a container that does nothing."""
    engine.docker("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")


def field(engine, name, form):
    """Return one field of inspect as JSON."""
    return json.loads(engine.docker("inspect", "-f", "{{json " + form + "}}", name).stdout)


def control_file(engine, name, controller, file):
    """Return the text of a container's cgroup file."""
    group = cgroups.Cgroup(f"{engine.settings.cgroup_parent}/{field(engine, name, '.Id')}")
    return cgroups.read(group.path(controller, file)).strip()


def test_who_it_runs_as(engine):
    """Names come from the image's own files; numbers need none; groups are added."""
    engine.docker("run", "--name", "users", "busybox", "sh", "-c",
                  "mkdir -p /etc; echo 'sam:x:1234:77::/home/sam:/bin/sh' > /etc/passwd;"
                  "printf 'crew:x:77:\\nsea:x:88:sam\\nextra:x:99:\\n' > /etc/group")  # fmt: skip
    engine.docker("commit", "users", "people")
    show = "echo $(id -u) $(id -g) $(id -G) $HOME"
    run = ("run", "--rm")
    assert engine.docker(*run, "-u", "sam", "people", "sh", "-c", show).stdout.split() == [
        "1234", "77", "77", "88", "/home/sam",
    ]  # fmt: skip
    words = ("-u", "sam:sea", "--group-add", "extra", "people", "sh", "-c", show)
    assert engine.docker(*run, *words).stdout.split() == ["1234", "88", "88", "99", "/home/sam"]
    assert inside(engine, "-u", "5:6", "--group-add", "7", show) == "5 6 6 7 /"
    refused = engine.docker(*run, "-u", "nobody-here", "people", "true", check=125)
    assert "unable to find user nobody-here" in refused.stderr
    engine.docker("rm", "users")
    engine.docker("rmi", "people")


def test_names_and_places(engine):
    """Host name, domain, working directory, variables, labels, annotations."""
    show = "hostname; cat /proc/sys/kernel/domainname; pwd; echo $A-$B"
    words = ("-h", "pier", "--domainname", "sea.example", "-w", "/made/here", "-e", "A=1")
    assert inside(engine, *words, "-e", "B", show).split() == [
        "pier", "sea.example", "/made/here", "1-",
    ]  # fmt: skip
    engine.docker("create", "--name", "told", "-l", "a=b", "--annotation", "x=y", "busybox")
    assert field(engine, "told", ".Config.Labels") == {"a": "b"}
    assert field(engine, "told", ".HostConfig.Annotations") == {"x": "y"}
    name = engine.docker("create", "busybox").stdout.strip()
    assert "_" in field(engine, name, ".Name")
    again = engine.docker("create", "--name", "told", "busybox", check=1).stderr
    assert 'Conflict. The container name "/told" is already in use by container' in again


def test_limits_reach_the_kernel(engine):
    """Each limit stands in the container's own control file."""
    idle(engine, "held", "-m", "64m", "--memory-reservation", "32m", "--memory-swap", "128m",
         "--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota", "25000",
         "--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "44",
         "--oom-score-adj", "500")  # fmt: skip
    if cgroups.hierarchies().is_v2("memory"):
        wanted = {("memory", "memory.max"): "67108864", ("cpu", "cpu.max"): "25000 50000"}
    else:
        wanted = {
            ("memory", "memory.limit_in_bytes"): "67108864",
            ("memory", "memory.soft_limit_in_bytes"): "33554432",
            ("memory", "memory.memsw.limit_in_bytes"): "134217728",
            ("cpu", "cpu.shares"): "512",
            ("cpu", "cpu.cfs_quota_us"): "25000",
            ("cpu", "cpu.cfs_period_us"): "50000",
        }
    wanted |= {("cpuset", "cpuset.cpus"): "0", ("pids", "pids.max"): "44"}
    assert {key: control_file(engine, "held", *key) for key in wanted} == wanted
    assert engine.docker("exec", "held", "cat", "/proc/1/oom_score_adj").stdout.strip() == "500"


@pytest.mark.skipif(cgroups.hierarchies().is_v2("memory"), reason="files of cgroup v1")
def test_limits_of_v1(engine):
    """What only cgroup v1 can hold."""
    device = next(
        (f"/dev/{path.name}" for path in Path("/sys/block").iterdir()
         if Path(f"/dev/{path.name}").is_block_device()), None,
    )  # fmt: skip
    words = ["--memory-swappiness", "7", "-m", "64m", "--oom-kill-disable"]
    weighs = cgroups.hierarchies().has(engine.settings.cgroup_parent, "blkio", "blkio.bfq.weight")
    words += ["--blkio-weight", "300"] if weighs else []
    if device:
        words += ["--device-read-bps", f"{device}:1mb", "--device-write-iops", f"{device}:99"]
    idle(engine, "old", *words)
    assert control_file(engine, "old", "memory", "memory.swappiness") == "7"
    assert "oom_kill_disable 1" in control_file(engine, "old", "memory", "memory.oom_control")
    if weighs:
        assert control_file(engine, "old", "blkio", "blkio.bfq.weight") == "300"
    if device:
        number = os.stat(device).st_rdev
        name = f"{os.major(number)}:{os.minor(number)}"
        read = control_file(engine, "old", "blkio", "blkio.throttle.read_bps_device")
        assert read == f"{name} 1048576"
        write = control_file(engine, "old", "blkio", "blkio.throttle.write_iops_device")
        assert write == f"{name} 99"


def test_a_limit_that_cannot_be_held_is_told(engine):
    """Docker's warning, and the container runs without it."""
    if cgroups.hierarchies().has(engine.settings.cgroup_parent, "blkio", "blkio.bfq.weight"):
        pytest.skip("this kernel holds block I/O weights")
    result = engine.docker("run", "--rm", "--blkio-weight", "300", "busybox", "true")
    assert "Your kernel does not support Block I/O weight" in result.stderr


def test_ulimits_shm_and_sysctls(engine):
    """Limits of the process, of shared memory, and the kernel's own of the namespace."""
    show = "ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1 | awk '{print $2}';"
    show += "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"
    words = ("--ulimit", "nofile=100:200", "--shm-size", "8m")
    sysctls = ("--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "kernel.msgmax=4096")
    assert inside(engine, *words, *sysctls, show).split() == ["100", "200", "8192", "0", "4096"]


def test_devices(engine):
    """A device by name, another by rule, all of them when privileged."""
    assert inside(engine, "--device", "/dev/null:/dev/mine:r", "cat /dev/mine | wc -c") == "0"
    # One that no container has by itself, readable alone.
    tun = ("--device", "/dev/net/tun:/dev/mine:r")
    if os.path.exists("/dev/net/tun"):
        both = "(exec 3</dev/mine) && echo read; (exec 3>/dev/mine) 2>/dev/null || echo no"
        assert inside(engine, *tun, both).split() == ["read", "no"]
    make = "mknod /tmp/kmsg c 1 11 && head -c1 /tmp/kmsg | wc -c"
    assert inside(engine, "--device-cgroup-rule", "c 1:11 rwm", "--cap-add", "SYSLOG", make) == "1"
    host = {name for name in os.listdir("/dev")
            if stat.S_ISBLK(os.stat(f"/dev/{name}").st_mode)}  # fmt: skip
    seen = inside(engine, "--privileged", "ls /dev").split()
    assert host <= set(seen)
    missing = engine.docker("run", "--rm", "--device", "/dev/not-here", "busybox", check=127)
    assert 'error gathering device information while adding custom device "/dev/not-here"' in (
        missing.stderr
    )
    gpu = engine.docker("run", "--rm", "--gpus", "all", "busybox", check=125).stderr
    assert "could not select device driver" in gpu


def test_capabilities_and_privileges(engine):
    """What is added, dropped, and no_new_privs."""
    show = "grep -E 'CapEff|NoNewPrivs' /proc/self/status | awk '{print $2}'"
    assert inside(engine, "--cap-drop", "ALL", show).split() == ["0000000000000000", "0"]
    assert inside(engine, "--cap-drop", "ALL", "--cap-add", "CHOWN", show).split()[0][-1] == "1"
    assert inside(engine, "--security-opt", "no-new-privileges", show).split()[1] == "1"
    unknown = engine.docker("run", "--rm", "--cap-add", "FLY", "busybox", check=125).stderr
    assert 'invalid capability: "CAP_FLY"' in unknown


def test_seccomp(engine, tmp_path):
    """The default filter, none, and one of the user's own."""
    show = "grep Seccomp: /proc/self/status | awk '{print $2}'"
    assert inside(engine, show) == "2"
    assert inside(engine, "--security-opt", "seccomp=unconfined", show) == "0"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    words = ("--security-opt", f"seccomp={profile}")
    result = engine.docker("run", "--rm", *words, "busybox", "mkdir", "/x", check=1)
    assert "Operation not permitted" in result.stderr


def test_read_only_root(engine):
    """Nothing can be written but where a mount allows it."""
    words = ("--read-only", "--tmpfs", "/run:size=1m,mode=700")
    show = "touch /x 2>/dev/null || echo no; touch /run/x && stat -c %a /run"
    assert inside(engine, *words, show).split() == ["no", "700"]
    covered = "grep -c ' /proc/' /proc/self/mountinfo || true"
    assert int(inside(engine, covered)) > 3
    assert inside(engine, "--security-opt", "systempaths=unconfined", covered) == "0"


def test_mounts(engine, tmp_path):
    """Bind, volume, tmpfs and image, read-only, parts of them, and missing sources."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("hello")
    bind = f"type=bind,src={tmp_path},dst=/b,readonly"
    assert inside(engine, "--mount", bind, "cat /b/sub/file; touch /b/x || echo no") == "hellono"
    engine.docker("volume", "create", "parts")
    inside(engine, "-v", "parts:/v", "mkdir -p /v/a/b; echo deep > /v/a/b/c")
    part = "type=volume,src=parts,dst=/p,volume-subpath=a/b"
    assert inside(engine, "--mount", part, "cat /p/c") == "deep"
    wrong = "type=volume,src=parts,dst=/p,volume-subpath=a/none"
    missing = engine.docker("run", "--rm", "--mount", wrong, "busybox", "true", check=127)
    assert "no such file or directory" in missing.stderr
    image = "type=image,src=busybox,dst=/img"
    assert inside(engine, "--mount", image, "ls -d /img/bin; touch /img/x || echo no").split() == [
        "/img/bin", "no",
    ]  # fmt: skip
    assert "busybox" in inside(engine, "--mount", image + ",image-subpath=bin", "ls /img")
    memory = "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=711"
    assert inside(engine, "--mount", memory, "stat -c %a /t; df -k /t | tail -1").split()[:3] == [
        "711", "tmpfs", "1024",
    ]  # fmt: skip
    gone = f"type=bind,src={tmp_path}/gone,dst=/g"
    result = engine.docker("run", "--rm", "--mount", gone, "busybox", check=125).stderr
    assert "bind source path does not exist" in result
    engine.docker("volume", "rm", "parts")


def test_a_subpath_cannot_lead_out(engine):
    """A link inside the volume is resolved inside the volume."""
    inside(engine, "-v", "trap:/v", "ln -s / /v/out; ln -s ../../../../etc /v/up")
    for name in ("out/etc", "up"):
        mount = f"type=volume,src=trap,dst=/p,volume-subpath={name}"
        result = engine.docker("run", "--rm", "--mount", mount, "busybox", "ls", "/p", check=None)
        assert "passwd" not in result.stdout
    engine.docker("volume", "rm", "trap")


def test_propagation(engine, tmp_path):
    """What is mounted on the host later is seen through a shared or slave mount only."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        (tmp_path / "below").mkdir()
        for word in ("rprivate", "rslave", "rshared"):
            idle(engine, word, "-v", f"{tmp_path}:/m:{word}", "--cap-add", "SYS_ADMIN",
                 "--security-opt", "seccomp=unconfined")  # fmt: skip
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "below"], check=True)
        (tmp_path / "below" / "seen").touch()
        seen = {word: engine.docker("exec", word, "ls", "/m/below").stdout.strip()
                for word in ("rprivate", "rslave", "rshared")}  # fmt: skip
        assert seen == {"rprivate": "", "rslave": "seen", "rshared": "seen"}
        made = "mkdir /m/back && mount -t tmpfs tmpfs /m/back && touch /m/back/mine"
        engine.docker("exec", "rshared", "sh", "-c", made)
        assert (tmp_path / "back" / "mine").exists()
        engine.docker("rm", "-f", "rprivate", "rslave", "rshared")
    finally:
        subprocess.run(["umount", "-R", tmp_path], check=True)


def test_read_only_reaches_mounts_below(engine, tmp_path):
    """A read-only bind is read-only all the way down, unless that is not wanted."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        (tmp_path / "below").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "below"], check=True)
        write = "touch /m/x 2>/dev/null || echo top; touch /m/below/x 2>/dev/null || echo below"
        mount = f"type=bind,src={tmp_path},dst=/m,readonly"
        assert inside(engine, "--mount", mount, write).split() == ["top", "below"]
        option = ",bind-recursive=writable"
        assert inside(engine, "--mount", mount + option, write).split() == ["top"]
        assert inside(engine, "--mount", mount + ",bind-recursive=disabled", "ls /m/below") == ""
    finally:
        subprocess.run(["umount", "-R", tmp_path], check=True)


def test_volumes_from(engine):
    """Another container's mounts, as they are or read-only."""
    engine.docker("create", "--name", "donor", "-v", "/data", "-v", "named:/n", "busybox")
    inside(engine, "--volumes-from", "donor", "echo 1 > /data/f; echo 2 > /n/f")
    show = "cat /data/f /n/f; touch /n/x 2>/dev/null || echo no"
    assert inside(engine, "--volumes-from", "donor:ro", show).split() == ["1", "2", "no"]
    missing = engine.docker("run", "--rm", "--volumes-from", "nobody", "busybox", check=125)
    assert "No such container: nobody" in missing.stderr
    engine.docker("rm", "-v", "donor")
    engine.docker("volume", "rm", "named")
    assert engine.docker("volume", "ls", "-q").stdout == ""


def test_namespaces_of_others(engine):
    """Processes, shared memory and network of another container."""
    idle(engine, "host", "--ipc", "shareable", "-h", "hosting")
    assert "sleep 1000" in inside(engine, "--pid", "container:host", "ps")
    engine.docker("exec", "host", "sh", "-c", "echo shared > /dev/shm/note")
    assert inside(engine, "--ipc", "container:host", "cat /dev/shm/note") == "shared"
    address = engine.docker("exec", "host", "hostname", "-i").stdout.strip()
    assert inside(engine, "--network", "container:host", "hostname -i; hostname").split() == [
        address, "hosting",
    ]  # fmt: skip
    idle(engine, "closed")
    refused = engine.docker("run", "--rm", "--ipc", "container:closed", "busybox", check=125)
    assert "non-shareable IPC" in refused.stderr
    engine.docker("stop", "-t", "0", "host")
    refused = engine.docker("run", "--rm", "--network", "container:host", "busybox", check=125)
    assert "cannot join network of a non running container" in refused.stderr


def test_an_exec_in_another_containers_processes(engine):
    """An exec is waited for, though its number there is another."""
    idle(engine, "first")
    idle(engine, "second", "--pid", "container:first")
    engine.docker("exec", "second", "sh", "-c", "exit 7", check=7)
    assert engine.docker("exec", "second", "echo", "hello").stdout == "hello\n"


def test_namespaces_of_the_host(engine):
    """Each is the host's when asked for, and one's own else."""
    kinds = ("pid", "ipc", "uts", "net", "cgroup")
    show = "for n in pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done"
    host = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    own = inside(engine, show).split()
    assert not set(own) & set(host)
    words = ("--pid", "host", "--ipc", "host", "--uts", "host", "--network", "host")
    assert inside(engine, *words, "--cgroupns", "host", show).split() == host
    assert inside(engine, "--ipc", "none", "ls -d /dev/shm 2>/dev/null || echo none") == "none"


def test_extra_hosts_and_resolver(engine):
    """Names by hand, the gateway by its word, and resolvers."""
    words = ("--add-host", "pier:10.1.2.3", "--add-host", "gate:host-gateway")
    dns = ("--dns", "192.0.2.1", "--dns-search", "sea.example", "--dns-option", "ndots:3")
    text = inside(engine, *words, *dns, "cat /etc/hosts /etc/resolv.conf; ip route | head -1")
    assert "10.1.2.3\tpier" in text
    gateway = text.split("default via ")[1].split()[0]
    assert f"{gateway}\tgate" in text
    assert "nameserver 192.0.2.1\nsearch sea.example\noptions ndots:3" in text


def test_links(engine):
    """A name and variables for another container on the default bridge."""
    idle(engine, "db", "--expose", "5432", "-e", "FLAVOUR=salt")
    show = "grep -c store /etc/hosts; echo $STORE_PORT_5432_TCP_PROTO $STORE_ENV_FLAVOUR"
    words = ("--name", "web", "--link", "db:store")
    assert inside(engine, *words, show).split() == ["1", "tcp", "salt"]
    engine.docker("create", *words, "busybox")
    rows = engine.docker("ps", "-a", "--format", "{{.Names}}", "--no-trunc").stdout.split()
    assert "db,web/store" in rows
    engine.docker("rm", "--link", "web/store")
    assert not field(engine, "web", ".HostConfig.Links")


def test_init(engine):
    """A first process that reaps: no zombie of an orphan stays."""
    orphan = "(sleep 0.1 &) ; sleep 0.5; ps -o pid,stat,args"
    text = inside(engine, "--init", orphan)
    assert "docker-init" in text
    assert " Z" not in text


def test_cgroup_parent(engine):
    """The group is made below the one that is named."""
    parent = f"{engine.settings.cgroup_parent}-own"
    idle(engine, "elsewhere", "--cgroup-parent", f"/{parent}/deep", "--pids-limit", "33")
    group = cgroups.Cgroup(f"{parent}/deep/{field(engine, 'elsewhere', '.Id')}")
    assert cgroups.read(group.path("pids", "pids.max")).strip() == "33"
    engine.docker("rm", "-f", "elsewhere")
    for mount_point in cgroups.hierarchies().all():
        Path(mount_point, parent, "deep").rmdir()
        Path(mount_point, parent).rmdir()


def test_network_modes_and_address(engine):
    """None has loopback alone; a hardware address is kept."""
    assert inside(engine, "--network", "none", "ls /sys/class/net") == "lo"
    mac = "02:42:0a:0b:0c:0d"
    assert inside(engine, "--mac-address", mac, "cat /sys/class/net/eth0/address") == mac
    refused = engine.docker("run", "--rm", "--network", "none-such", "busybox", check=125).stderr
    assert "network none-such not found" in refused
    fixed = engine.docker("run", "--rm", "--ip", "172.17.0.9", "busybox", check=125).stderr
    assert "supported on user defined networks only" in fixed


def test_stop_signal_and_timeout(engine):
    """The program gets the signal it asked for, and the time."""
    trap = "trap 'echo got; exit 9' USR1; while :; do sleep 0.05; done"
    words = ("--stop-signal", "USR1", "--stop-timeout", "20")
    engine.docker("run", "-d", "--name", "polite", *words, "busybox", "sh", "-c", trap)
    wait_until(lambda: field(engine, "polite", ".State.Running"), "it runs")
    wait_until(lambda: "trap" in engine.docker("top", "polite").stdout, "the trap is set")
    engine.docker("stop", "polite")
    assert field(engine, "polite", ".State.ExitCode") == 9
    assert engine.docker("logs", "polite").stdout == "got\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runtime", "crun"], "unknown or invalid runtime name: crun"),
        (["--storage-opt", "size=1g"], "--storage-opt is supported only for overlay over xfs"),
        (["--security-opt", "apparmor=strict"], "AppArmor"),
        (["--log-driver", "syslog"], "no log driver named 'syslog' is registered"),
        (["--volume-driver", "nfs", "-v", "data:/x"], "volume plugin nfs"),
        (["--sysctl", "kernel.panic=1"], "is not allowed"),
        (["--userns", "other"], "invalid"),
        (["-m", "1m"], "Minimum memory limit allowed is 6MB"),
        (["--cpus", "1000"], "range of CPUs is from 0.01"),
        (["--isolation", "hyperv"], "isolation"),
        (["--uts", "host", "-h", "name"], "conflicting options"),
    ],
)
def test_refused_in_dockers_words(engine, words, message):
    """What cannot work is refused before anything is made."""
    result = engine.docker("run", "--rm", *words, "busybox", "true", check=125)
    assert message in result.stderr
    assert engine.docker("ps", "-aq").stdout == ""
