"""Networks of users with real traffic: names, several at once, isolation, ports, IPv6."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.kernel.nftables import Nftables
from tests.support.engine import wait_until
from tests.support.place import LAN, OUT, OUT_SIX, PORTS, SIX, device

SERVE = "mkdir /w; echo {} > /w/index.html; exec httpd -f -v -p [::]:80 -h /w"
GET = b"GET / HTTP/1.0\r\n\r\n"


def idle(engine, name, *words):
    """Start a container that waits."""
    engine.docker("run", "-d", "--name", name, *words, "busybox", "sleep", "1000")
    return name


def served(engine, name, *words):
    """Start a container that says its name to whoever asks at port 80."""
    script = SERVE.format(name)
    engine.docker("run", "-d", "--name", name, *words, "busybox", "sh", "-c", script)
    wait_until(lambda: heard(engine, name, "127.0.0.1") == name, "it serves", seconds=5)
    return name


def heard(engine, source, target, port=80):
    """Return what a container hears from an address; "" when nothing comes in two seconds."""
    script = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {target} {port} | tail -n 1"
    return engine.docker("exec", source, "sh", "-c", script, check=None).stdout.strip()


def looked_up(engine, source, name, *words):
    """Return the addresses that a container finds for a name."""
    done = engine.docker("exec", source, "nslookup", *words, name, check=None)
    rows = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Address")]
    return sorted(row for row in rows if not row.startswith("127.0.0.11"))


def inspected(engine, name, template):
    """Return a part of a container's description."""
    return engine.docker("inspect", "-f", template, name).stdout.strip()


def address(engine, name, network, family="IPAddress"):
    """Return a container's address on a network."""
    return inspected(
        engine, name, f'{{{{(index .NetworkSettings.Networks "{network}").{family}}}}}'
    )


def connect_from_here(host, port):
    """Return what the host hears."""
    try:
        with socket.create_connection((host, port), 2) as sock:
            sock.settimeout(2)
            sock.sendall(GET)
            answer = b""
            while data := sock.recv(4096):
                answer += data
            return answer.decode().split("\r\n\r\n", 1)[-1].strip()
    except OSError:
        return ""


@contextmanager
def outside_host(name, subnet, six=None):
    """Make a host beside this machine: a network namespace with a wire to it."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        near, far = f"{name}-n", f"{name}-f"
        commands = [
            f"ip link add {near} type veth peer name {far} netns {name}",
            f"ip addr add {subnet}.1/24 dev {near}",
            f"ip link set {near} up",
            f"ip -n {name} addr add {subnet}.2/24 dev {far}",
            f"ip -n {name} link set {far} up",
            f"ip -n {name} link set lo up",
            f"ip -n {name} route add default via {subnet}.1",
        ]
        if six:
            commands += [
                f"ip addr add {six}::1/64 dev {near} nodad",
                f"ip -n {name} addr add {six}::2/64 dev {far} nodad",
                f"ip -n {name} route add default via {six}::1",
            ]
        for command in commands:
            subprocess.run(command.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def from_outside(name, host, port):
    """Return what a host outside hears."""
    module = "tests.conformance.test_networks"
    call = f"from {module} import connect_from_here as c; print(c({host!r}, {port}))"
    command = ["ip", "netns", "exec", name, sys.executable, "-c", call]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_names(engine):
    """Containers find each other by name, alias, ID and the network's own name for them."""
    engine.docker("network", "create", "net")
    idle(engine, "ask", "--network", "net")
    served(engine, "web", "--network", "net", "--network-alias", "www", "--hostname", "box")
    here = address(engine, "web", "net")
    short = inspected(engine, "web", "{{.Id}}")[:12]
    for name in ("web", "www", short, "box", "WEB", "web.net"):
        assert looked_up(engine, "ask", name) == [here], name
    assert heard(engine, "ask", "web") == "web"
    reverse = engine.docker("exec", "ask", "nslookup", here).stdout
    assert "web.net" in reverse
    assert looked_up(engine, "ask", "nobody-here.invalid") == []
    engine.docker("stop", "-t", "0", "web")
    assert looked_up(engine, "ask", "web") == []
    resolv = engine.docker("exec", "ask", "cat", "/etc/resolv.conf").stdout
    assert "nameserver 127.0.0.11\n" in resolv
    assert "ndots:0" in resolv


def test_aliases_are_shared(engine):
    """An alias of several means all of them, in changing order; a rename changes the name."""
    engine.docker("network", "create", "net")
    idle(engine, "ask", "--network", "net")
    for name in ("one", "two", "three"):
        idle(engine, name, "--network", "net", "--network-alias", "all")
    wanted = sorted(address(engine, name, "net") for name in ("one", "two", "three"))
    assert looked_up(engine, "ask", "all") == wanted
    script = "for i in 1 2 3 4 5 6 7 8 9; do ping -c1 -W1 all 2>/dev/null | head -1; done"
    firsts = engine.docker("exec", "ask", "sh", "-c", script, check=None).stdout
    assert firsts == "" or len(set(firsts.splitlines())) > 1
    engine.docker("rename", "one", "first")
    assert looked_up(engine, "ask", "one") == []
    assert looked_up(engine, "ask", "first") == [address(engine, "first", "net")]


def test_links_are_names(engine):
    """A link on a network of users is a name for one container alone."""
    engine.docker("network", "create", "net")
    served(engine, "db", "--network", "net")
    idle(engine, "app", "--network", "net", "--link", "db:store")
    idle(engine, "other", "--network", "net")
    assert looked_up(engine, "app", "store") == [address(engine, "db", "net")]
    assert looked_up(engine, "other", "store") == []


def test_names_by_tcp_and_port_53_of_ones_own(engine):
    """TCP is answered too, and a container may serve port 53 itself."""
    engine.docker("network", "create", "net")
    script = "nc -ll -p 53 -e echo mine & sleep 1000"
    engine.docker("run", "-d", "--name", "box", "--network", "net", "busybox", "sh", "-c", script)
    here = address(engine, "box", "net")
    assert looked_up(engine, "box", "box") == [here]
    question = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x03box\0\x00\x01\x00\x01"
    framed = len(question).to_bytes(2, "big") + question
    octal = "".join(f"\\{byte:03o}" for byte in framed)
    script = f"(printf '{octal}'; sleep 0.5) | nc -w 2 127.0.0.11 53 | od -An -tu1"
    numbers = engine.docker("exec", "box", "sh", "-c", script).stdout.split()
    assert ".".join(numbers[-4:]) == here
    script = "nc -w 2 127.0.0.1 53 </dev/null"
    assert engine.docker("exec", "box", "sh", "-c", script).stdout == "mine\n"


def test_forwarding(engine):
    """Names of the world are asked of the servers that are wished for; internal ones ask nobody."""
    engine.docker("network", "create", "net")
    engine.docker("network", "create", "--internal", "closed")
    answers = ("import socket,struct\n"
               f"s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('{OUT[3]}.53',53))\n"
               "while 1:\n"
               "  d,a=s.recvfrom(600)\n"
               "  n=d[:2]+b'\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0'+d[12:]\n"
               "  r=b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4\\x0a\\1\\2\\3'\n"
               "  s.sendto(n+r,a)\n")  # fmt: skip
    subprocess.run(["ip", "link", "add", f"{device('dns')}", "type", "bridge"], check=True)
    server = None
    try:
        subprocess.run(
            ["ip", "addr", "add", f"{OUT[3]}.53/32", "dev", f"{device('dns')}"], check=True
        )
        subprocess.run(["ip", "link", "set", f"{device('dns')}", "up"], check=True)
        server = subprocess.Popen(["python3", "-c", answers])
        idle(engine, "ask", "--network", "net", "--dns", f"{OUT[3]}.53")
        wait_until(lambda: looked_up(engine, "ask", "example.test", "-type=a") == ["10.1.2.3"],
                   "the server answers")  # fmt: skip
        idle(engine, "shut", "--network", "closed", "--dns", f"{OUT[3]}.53")
        assert looked_up(engine, "shut", "example.test", "-type=a") == []
        assert looked_up(engine, "shut", "shut") == [address(engine, "shut", "closed")]
    finally:
        if server:
            server.kill()
            server.wait()
        subprocess.run(["ip", "link", "del", f"{device('dns')}"], check=True)


def test_names_after_a_restart_of_the_engine(engine):
    """The next engine answers, and knows the aliases."""
    engine.docker("network", "create", "net")
    idle(engine, "ask", "--network", "net")
    idle(engine, "web", "--network", "net", "--network-alias", "www")
    here = address(engine, "web", "net")
    engine.kill()
    engine.start()
    assert looked_up(engine, "ask", "www") == [here]
    served(engine, "new", "--network", "net")
    assert heard(engine, "ask", "new") == "new"


def test_several_networks(engine):
    """Connect and disconnect while it runs; the default route follows priority and presence."""
    engine.docker("network", "create", "--subnet", f"{LAN}.1.0/24", "alpha")
    engine.docker("network", "create", "--subnet", f"{LAN}.2.0/24", "beta")
    served(engine, "far", "--network", "beta")
    idle(engine, "box", "--network", "alpha")
    assert looked_up(engine, "box", "far") == []
    engine.docker("network", "connect", "--ip", f"{LAN}.2.77", "--alias", "known", "beta", "box")
    assert address(engine, "box", "beta") == f"{LAN}.2.77"
    assert heard(engine, "box", "far") == "far"
    assert looked_up(engine, "far", "known") == [f"{LAN}.2.77"]
    routes = engine.docker("exec", "box", "ip", "route").stdout
    assert f"default via {LAN}.1.1 dev eth0" in routes
    assert f"{LAN}.2.0/24 dev eth1" in routes
    assert f"{LAN}.2.77" in engine.docker("exec", "box", "cat", "/etc/hosts").stdout
    again = engine.docker("network", "connect", "beta", "box", check=1)
    assert "endpoint with name box already exists in network beta" in again.stderr
    engine.docker("network", "disconnect", "alpha", "box")
    assert f"default via {LAN}.2.1" in engine.docker("exec", "box", "ip", "route").stdout
    assert f"{LAN}.1." not in engine.docker("exec", "box", "cat", "/etc/hosts").stdout
    engine.docker("network", "connect", "--gw-priority", "5", "alpha", "box")
    assert f"default via {LAN}.1.1" in engine.docker("exec", "box", "ip", "route").stdout
    engine.docker("restart", "-t", "0", "box")
    assert set(json.loads(inspected(engine, "box", "{{json .NetworkSettings.Networks}}"))) == {
        "alpha", "beta",
    }  # fmt: skip
    assert address(engine, "box", "beta") == f"{LAN}.2.77"
    missing = engine.docker("network", "disconnect", "alpha", "far", check=1)
    assert "is not connected to network alpha" in missing.stderr


def test_create_with_several(engine):
    """What is asked for at creation, and what is connected before the first start."""
    for name in ("alpha", "beta", "gamma"):
        engine.docker("network", "create", name)
    engine.docker("create", "--name", "box", "--network", "name=alpha,alias=a1",
                  "--network", "name=beta,alias=b1", "busybox", "sleep", "1000")  # fmt: skip
    engine.docker("network", "connect", "gamma", "box")
    engine.docker("start", "box")
    links = engine.docker("exec", "box", "ls", "/sys/class/net").stdout.split()
    assert sorted(links) == ["eth0", "eth1", "eth2", "lo"]
    assert looked_up(engine, "box", "b1") == [address(engine, "box", "beta")]
    # From the bridge of every engine to one of users' the resolver comes along.
    idle(engine, "old")
    assert "127.0.0.11" not in engine.docker("exec", "old", "cat", "/etc/resolv.conf").stdout
    engine.docker("network", "connect", "alpha", "old")
    assert "127.0.0.11" in engine.docker("exec", "old", "cat", "/etc/resolv.conf").stdout
    assert looked_up(engine, "old", "a1") == [address(engine, "box", "alpha")]


def test_what_a_user_wrote_stays(engine):
    """Edits of hosts and resolv.conf outlive a connection."""
    engine.docker("network", "create", "net")
    idle(engine, "box")
    script = f"echo {OUT[3]}.9 mine >> /etc/hosts; echo nameserver {OUT[3]}.8 > /etc/resolv.conf"
    engine.docker("exec", "box", "sh", "-c", script)
    engine.docker("network", "connect", "net", "box")
    hosts = engine.docker("exec", "box", "cat", "/etc/hosts").stdout
    assert f"{OUT[3]}.9 mine" in hosts
    assert address(engine, "box", "net") in hosts
    resolv = engine.docker("exec", "box", "cat", "/etc/resolv.conf").stdout
    assert resolv == f"nameserver {OUT[3]}.8\n"


def test_bridges_are_apart(engine):
    """By no address, whatever network; internal ones reach nothing outside."""
    engine.docker("network", "create", "alpha")
    engine.docker("network", "create", "beta")
    engine.docker("network", "create", "--internal", "closed")
    served(engine, "aa", "--network", "alpha")
    served(engine, "bb", "--network", "beta")
    served(engine, "cc", "--network", "closed")
    idle(engine, "dd", "--network", "closed")
    idle(engine, "plain")
    target = address(engine, "bb", "beta")
    assert heard(engine, "aa", target) == ""
    assert heard(engine, "plain", target) == ""
    assert heard(engine, "dd", target) == ""
    assert heard(engine, "aa", address(engine, "cc", "closed")) == ""
    assert heard(engine, "dd", "cc") == "cc"
    assert "default" not in engine.docker("exec", "dd", "ip", "route").stdout
    with outside_host(f"{device('out1')}", f"{OUT[0]}") as host:
        (plan,) = json.loads(engine.docker("network", "inspect", "closed").stdout)
        gateway = plan["IPAM"]["Config"][0]["Gateway"]
        engine.docker("exec", "--privileged", "dd", "ip", "route", "add", "default", "via", gateway)
        code = (
            f"import socket\ns=socket.create_server(('{OUT[0]}.2',80))\n"
            "while 1:\n c,a=s.accept(); c.recv(99)\n"
            " c.send(b'HTTP/1.0 200 OK\\r\\n\\r\\n'+a[0].encode()); c.close()"
        )
        listen = subprocess.Popen(["ip", "netns", "exec", host, sys.executable, "-c", code])
        try:
            wait_until(
                lambda: heard(engine, "aa", f"{OUT[0]}.2") == f"{OUT[0]}.1", "it is masqueraded"
            )
            assert heard(engine, "dd", f"{OUT[0]}.2") == ""
        finally:
            listen.kill()
            listen.wait()
        assert from_outside(host, target, 80) == "", "a container's own address is not for others"


def test_icc_off(engine):
    """Ports of such a bridge do not see each other, not even through the host."""
    engine.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "net")
    served(engine, "aa", "--network", "net", "-p", f"127.0.0.1:{PORTS + 90}:80")
    idle(engine, "bb", "--network", "net")
    there = address(engine, "aa", "net")
    assert heard(engine, "bb", there) == ""
    gateway = inspected(engine, "bb", "{{.NetworkSettings.Networks.net.Gateway}}")
    engine.docker("exec", "--privileged", "bb", "ip", "route", "add", f"{there}/32", "via", gateway)
    assert heard(engine, "bb", there) == ""
    assert connect_from_here("127.0.0.1", PORTS + 90) == "aa"


def test_published_ports(engine):
    """From the host, from other containers by the host's address, and from other hosts."""
    engine.docker("network", "create", "net")
    engine.docker("network", "create", "other")
    with outside_host(f"{device('out2')}", f"{OUT[1]}") as host:
        ports = (f"{PORTS + 80}:80", f"127.0.0.1:{PORTS + 81}:80", f"{OUT[1]}.1:{PORTS + 82}:80")
        words = [word for port in ports for word in ("-p", port)]
        served(engine, "web", "--network", "net", *words)
        for name, network in (("same", "net"), ("else", "other"), ("plain", "bridge")):
            idle(engine, name, "--network", network)
            assert heard(engine, name, f"{OUT[1]}.1", PORTS + 80) == "web", name
        for place in (
            ("127.0.0.1", PORTS + 80),
            ("127.0.0.1", PORTS + 81),
            (f"{OUT[1]}.1", PORTS + 82),
            ("::1", PORTS + 80),
        ):
            assert connect_from_here(*place) == "web", place
        assert connect_from_here(f"{OUT[1]}.1", PORTS + 81) == ""
        assert from_outside(host, f"{OUT[1]}.1", PORTS + 80) == "web"
        assert from_outside(host, f"{OUT[1]}.1", PORTS + 82) == "web"
        assert from_outside(host, f"{OUT[1]}.1", PORTS + 81) == ""
        shown = engine.docker("port", "web", "80/tcp").stdout.split()
        assert {f"0.0.0.0:{PORTS + 80}", f"[::]:{PORTS + 80}", f"127.0.0.1:{PORTS + 81}"} <= set(
            shown
        )
        words = ("-d", "--name", "late", "--network", "net", "-p", f"{PORTS + 80}:80")
        taken = engine.docker("run", *words, "busybox", "sleep", "9", check=125)
        assert f"Bind for 0.0.0.0:{PORTS + 80} failed: port is already allocated" in taken.stderr
        # The source of who comes from outside is what the container sees.
        engine.docker("rm", "-f", "web", "late")
        served(engine, "see", "-p", f"{PORTS + 83}:80")
        assert from_outside(host, f"{OUT[1]}.1", PORTS + 83) == "see"
        done = engine.docker("logs", "see")
        assert f"{OUT[1]}.2" in done.stdout + done.stderr


def test_udp_and_ranges(engine):
    """UDP both ways, a range of the host for one port, one each for a range, ephemeral ones."""
    ports = (
        f"{PORTS + 100}:7/udp",
        f"{PORTS + 101}-{PORTS + 105}:80",
        f"{PORTS + 110}-{PORTS + 112}:90-92",
        "93",
    )
    idle(engine, "box", *(word for port in ports for word in ("-p", port)))
    code = (
        "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('',7))\n"
        "while 1: s.sendto(*s.recvfrom(99))"
    )
    inside = ["nsenter", "-n", "-t", inspected(engine, "box", "{{.State.Pid}}")]
    echo = subprocess.Popen([*inside, sys.executable, "-c", code])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)

        def echoed():
            sock.sendto(b"hello", ("127.0.0.1", PORTS + 100))
            try:
                return sock.recv(100) == b"hello"
            except (TimeoutError, ConnectionError):
                return False

        try:
            wait_until(echoed, "UDP is echoed")
        finally:
            echo.kill()
            echo.wait()
    ports = json.loads(inspected(engine, "box", "{{json .NetworkSettings.Ports}}"))
    assert ports["80/tcp"][0]["HostPort"] in map(str, range(PORTS + 101, PORTS + 106))
    assert [ports[f"{90 + n}/tcp"][0]["HostPort"] for n in range(3)] == [
        f"{PORTS + 110}",
        f"{PORTS + 111}",
        f"{PORTS + 112}",
    ]
    assert int(ports["93/tcp"][0]["HostPort"]) > 1024
    assert ports["93/tcp"][0]["HostPort"] == ports["93/tcp"][1]["HostPort"]
    engine.docker(
        "run", "-d", "--name", "sctp", "-p", f"{PORTS + 120}:80/sctp", "busybox", "sleep", "100"
    )
    taken = engine.docker("run", "-p", f"{PORTS + 120}:80/sctp", "busybox", "true", check=125)
    assert "port is already allocated" in taken.stderr


def test_ipv6(engine):
    """Addresses, names, routes and published ports of the sixth version."""
    engine.docker("network", "create", "--ipv6", "--subnet", f"{SIX}::/64",
                  "--subnet", f"{LAN}.7.0/24", "six")  # fmt: skip
    served(engine, "web", "--network", "six", "--ip6", f"{SIX}::42", "-p", f"{PORTS + 200}:80")
    idle(engine, "ask", "--network", "six")
    assert address(engine, "web", "six", "GlobalIPv6Address") == f"{SIX}::42"
    assert looked_up(engine, "ask", "web", "-type=aaaa") == [f"{SIX}::42"]
    assert heard(engine, "ask", f"{SIX}::42") == "web"
    assert f"default via {SIX}::1" in engine.docker("exec", "ask", "ip", "-6", "route").stdout
    assert connect_from_here("::1", PORTS + 200) == "web"
    assert connect_from_here("127.0.0.1", PORTS + 200) == "web"
    with outside_host(f"{device('out3')}", f"{OUT[2]}", f"{OUT_SIX}") as host:
        wait_until(
            lambda: from_outside(host, f"{OUT_SIX}::1", PORTS + 200) == "web", "it is led on"
        )
        assert from_outside(host, f"{SIX}::42", 80) == ""
    own = engine.docker("network", "create", "--ipv6", "auto").stdout.strip()
    config = json.loads(
        engine.docker("network", "inspect", "-f", "{{json .IPAM.Config}}", own).stdout
    )
    assert any(row["Subnet"].startswith("fd") and row["Subnet"].endswith("/64") for row in config)
    engine.docker("network", "create", "--ipv4=false", "--ipv6", "only")
    idle(engine, "alone", "--network", "only")
    assert address(engine, "alone", "only") == ""
    assert address(engine, "alone", "only", "GlobalIPv6Address")


def test_macvlan(engine):
    """Containers on a device of the host, as hosts of their own beside it."""
    with outside_host(f"{device('out4')}", f"{OUT[0]}") as host:
        engine.docker("network", "create", "-d", "macvlan", "-o", f"parent={device('out4')}-n",
                      "--subnet", f"{OUT[0]}.0/24", "--gateway", f"{OUT[0]}.2", "lan")  # fmt: skip
        served(engine, "aa", "--network", "lan", "--ip", f"{OUT[0]}.50", "--mac-address",
               "02:11:22:33:44:55")  # fmt: skip
        idle(engine, "bb", "--network", "lan")
        assert heard(engine, "bb", "aa") == "aa"
        wait_until(
            lambda: from_outside(host, f"{OUT[0]}.50", 80) == "aa", "a host beside it hears it"
        )
        shown = engine.docker("exec", "aa", "cat", "/sys/class/net/eth0/address").stdout
        assert shown == "02:11:22:33:44:55\n"
        assert f"default via {OUT[0]}.2" in engine.docker("exec", "aa", "ip", "route").stdout
        words = ("-d", "macvlan", "-o", f"parent={device('out4')}-n", "x")
        twice = engine.docker("network", "create", *words, check=1)
        assert f"already using parent interface {device('out4')}-n" in twice.stderr
        engine.docker("rm", "-f", "aa", "bb")
        engine.docker("network", "rm", "lan")
    missing = engine.docker("network", "create", "-d", "macvlan", "-o", "parent=nowhere9.7", "x",
                            check=1)  # fmt: skip
    assert "nowhere9.7" in missing.stderr


def test_options(engine):
    """Bridge name, MTU, interface names, kernel parameters, hardware address, auxiliary ones."""
    engine.docker("network", "create", "-o", f"com.docker.network.bridge.name={device('br')}",
                  "-o", "com.docker.network.driver.mtu=1400",
                  "-o", "com.docker.network.container_iface_prefix=lan",
                  "--subnet", f"{LAN}.9.0/24", "--ip-range", f"{LAN}.9.128/29",
                  "--gateway", f"{LAN}.9.254", "--aux-address", f"router={LAN}.9.129",
                  "--label", "tier=back", "net")  # fmt: skip
    assert Path(f"/sys/class/net/{device('br')}/mtu").read_text() == "1400\n"
    idle(engine, "box", "--network", "net", "--mac-address", "02:aa:00:00:00:01")
    assert address(engine, "box", "net") in (f"{LAN}.9.128", f"{LAN}.9.130")
    inside = engine.docker("exec", "box", "ip", "addr", "show", "lan0").stdout
    assert "mtu 1400" in inside
    assert "02:aa:00:00:00:01" in inside
    assert f"via {LAN}.9.254" in engine.docker("exec", "box", "ip", "route").stdout
    prefix = "driver-opt=com.docker.network.endpoint"
    named = f"name=net,{prefix}.ifname=wan,{prefix}.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    idle(engine, "other", "--network", named)
    read = engine.docker("exec", "other", "cat", "/proc/sys/net/ipv4/conf/wan/log_martians")
    assert read.stdout == "1\n"


def test_rules_that_somebody_flushed(engine):
    """The table comes back by itself, ports and all; nobody else's is touched."""
    served(engine, "web", "-p", f"{PORTS + 300}:80")
    assert connect_from_here("127.0.0.1", PORTS + 300) == "web"
    table = engine.settings.firewall_table
    nft, foreign = Nftables(), device("foreign")
    nft.run(
        f"add table inet {foreign}\nadd chain inet {foreign} c\nadd rule inet {foreign} c counter"
    )
    try:
        nft.run(f"delete table inet {table}")
        wait_until(
            lambda: connect_from_here("127.0.0.1", PORTS + 300) == "web", "it is led on again"
        )
        nft.run(f"flush chain inet {table} publish")
        wait_until(
            lambda: "dnat" in nft.run(f"list chain inet {table} publish"), "the rules are back"
        )
        assert "counter" in nft.run(f"list table inet {device('foreign')}")
    finally:
        nft.run(f"delete table inet {device('foreign')}")
        nft.close()


def test_a_transfer_outlives_the_engine(engine):
    """Bytes through a published port go on while the engine is killed and comes back."""
    total = 200 << 20
    engine.docker("run", "-d", "--name", "big", "-p", f"{PORTS + 400}:80", "busybox", "sh", "-c",
                  f"head -c {total} /dev/zero | nc -l -p 80")  # fmt: skip
    count = 0
    done = threading.Event()

    def take():
        nonlocal count
        with socket.create_connection(("127.0.0.1", PORTS + 400), 5) as sock:
            while data := sock.recv(1 << 16):
                count += len(data)
                if count < total // 2:
                    time.sleep(0.0005)  # the reader's pace, so that the engine dies in the middle
        done.set()

    wait_until(lambda: "nc" in engine.docker("top", "big").stdout, "it listens")
    reader = threading.Thread(target=take)
    reader.start()
    wait_until(lambda: count > 1 << 20, "it has begun")
    engine.kill()
    before = count
    engine.start()
    assert done.wait(30)
    reader.join()
    assert before < count == total


def subnet(**config):
    """Return a request with one IPAM configuration."""
    return {"Name": "x", "IPAM": {"Config": [config]}}


def option(name, value):
    """Return a request with one option of a bridge."""
    return {"Name": "x", "Options": {f"com.docker.network.bridge.{name}": value}}


BAD = [
    (subnet(Subnet="10.0.0.1/24"), 400, "it should be 10.0.0.0/24"),
    (subnet(Subnet="nonsense"), 400, "invalid CIDR block notation"),
    (subnet(Subnet="10.0.0.0/24", Gateway="10.0.1.1"), 400, "doesn't contain this address"),
    (subnet(Subnet="10.0.0.0/24", IPRange="10.0.0.0/16"), 400, "bigger than its parent subnet"),
    (subnet(Subnet=f"{LAN}.50.128/25"), 403, "Pool overlaps"),
    ({"Name": "x", "Driver": "nothing"}, 404, 'plugin "nothing" not found'),
    ({"Name": "x", "IPAM": {"Driver": "nothing"}}, 404, 'plugin "nothing" not found'),
    ({"Name": "taken"}, 409, "network with name taken already exists"),
    ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network"),
    ({"Name": "x", "Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
    (option("nonsense", "1"), 501, "not supported"),
    (option("enable_icc", "maybe"), 400, "true or false"),
    (option("name", "lo"), 400, "is not a bridge"),
    ({"Name": "x", "EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
    ({"Name": ""}, 400, "invalid network name"),
    ({"Name": 7}, 400, "Name must be a string"),
]


@pytest.mark.parametrize(("body", "status", "words"), BAD)
def test_refused(engine, body, status, words):
    """Docker's words and statuses; nothing is left of the attempt."""
    engine.docker("network", "create", "--subnet", f"{LAN}.50.0/24", "taken")
    found, answer = engine.request("POST", "/networks/create", body)
    assert (found, words in answer["message"]) == (status, True), answer
    names = engine.docker("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert sorted(names) == ["bridge", "host", "none", "taken"]


def test_verbs_of_the_cli(engine):
    """create, ls, inspect, connect, disconnect, rm and prune, with filters and events."""
    begin = str(time.time())
    one = engine.docker("network", "create", "--label", "a=1", "--attachable", "one").stdout.strip()
    engine.docker("network", "create", "--internal", "--label", "a=2", "two")
    engine.docker("network", "create", "--config-only", "--subnet", f"{LAN}.60.0/24", "plan")
    engine.docker("network", "create", "--config-from", "plan", "made")
    config = engine.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "made")
    assert config.stdout == f"{LAN}.60.0/24\n"
    used = engine.docker("network", "rm", "plan", check=1)
    assert "is in use" in used.stderr

    def listed(*filters):
        words = [word for item in filters for word in ("--filter", item)]
        rows = engine.docker("network", "ls", *words, "--format", "{{.Name}}").stdout.split()
        return sorted(rows)

    assert listed("label=a") == ["one", "two"]
    assert listed("label=a=2") == ["two"]
    assert listed("type=builtin") == ["bridge", "host", "none"]
    assert listed("driver=bridge", "type=custom") == ["made", "one", "two"]
    assert listed(f"id={one[:8]}") == ["one"]
    assert listed("name=on") == ["none", "one"]
    idle(engine, "box", "--network", "one")
    assert listed("dangling=true") == ["made", "plan", "two"]
    on_it = engine.docker("ps", "--filter", "network=one", "--format", "{{.Names}}")
    assert on_it.stdout == "box\n"
    busy = engine.docker("network", "rm", "one", check=1)
    assert "network one has active endpoints" in busy.stderr
    assert engine.request("DELETE", "/networks/one")[0] == 403
    inspect = json.loads(engine.docker("network", "inspect", "one").stdout)[0]
    (member,) = inspect["Containers"].values()
    assert member["Name"] == "box"
    pruned = engine.docker("network", "prune", "-f", "--filter", "label!=a=2").stdout
    assert pruned.split() == ["Deleted", "Networks:", "made"]
    engine.docker("rm", "-f", "box")
    engine.docker("network", "rm", "one", "two", "plan")
    for name in ("bridge", "host", "none"):
        fixed = engine.docker("network", "rm", name, check=1)
        assert "is a pre-defined network and cannot be removed" in fixed.stderr
    words = ["--since", begin, "--until", str(time.time()), "--filter", "type=network"]
    events = engine.docker("events", *words, "--format", "{{.Action}}").stdout.split()
    assert events.count("create") == 4
    assert {"connect", "disconnect", "destroy", "prune"} <= set(events)
    gone = engine.docker("network", "inspect", "one", check=1)
    assert "network one not found" in gone.stderr
    lost = engine.docker("run", "--rm", "--network", "one", "busybox", "true", check=125)
    assert "network one not found" in lost.stderr


def test_addresses_by_wish(engine):
    """Fixed ones are kept over restarts, and refused when they cannot be had."""
    engine.docker("network", "create", "--subnet", f"{LAN}.70.0/24", "net")
    engine.docker("network", "create", "auto")
    idle(engine, "box", "--network", "net", "--ip", f"{LAN}.70.9")
    for words, text in (
        (("--network", "net", "--ip", f"{LAN}.70.9"), "Address already in use"),
        (("--network", "net", "--ip", f"{LAN}.71.9"), "no configured subnet or ip-range contain"),
        (("--network", "auto", "--ip", f"{LAN}.70.9"), "networks with user configured subnets"),
        (
            (
                "--ip",
                f"{LAN}.70.9",
            ),
            "supported on user defined networks only",
        ),
    ):
        done = engine.docker("run", "--rm", *words, "busybox", "true", check=125)
        assert text in done.stderr, words
    engine.docker("restart", "-t", "0", "box")
    assert address(engine, "box", "net") == f"{LAN}.70.9"


def test_shared_networks(engine):
    """`container:` shares everything; host and none are connected to nothing else."""
    engine.docker("network", "create", "net")
    served(engine, "web", "--network", "net")
    idle(engine, "mate", "--network", "container:web")
    assert heard(engine, "mate", "127.0.0.1") == "web"
    assert looked_up(engine, "mate", "web") == [address(engine, "web", "net")]
    idle(engine, "hosted", "--network", "host")
    idle(engine, "bare", "--network", "none")
    for name in ("mate", "hosted", "bare"):
        assert engine.docker("network", "connect", "net", name, check=1).stderr
    done = engine.docker("network", "connect", "host", "web", check=1)
    assert "must be created in host network mode" in done.stderr


def test_a_network_that_is_being_removed(engine):
    """No container comes to it meanwhile, and one that is on it keeps it."""
    engine.docker("network", "create", "net")
    engine.docker("create", "--name", "late", "--network", "net", "busybox", "sleep", "1000")
    with open("/run/lock/hythe-address-pools") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        removal = threading.Thread(target=engine.request, args=("DELETE", "/networks/net"))
        removal.start()
        inode = f":{os.fstat(lock.fileno()).st_ino} "

        def waits():
            rows = Path("/proc/locks").read_text().splitlines()
            return any("->" in row and inode in row for row in rows)

        wait_until(waits, "the removal waits for the lock")
        assert engine.request("POST", "/containers/late/start")[0] == 404
    removal.join()
    assert engine.docker("network", "ls", "-q", "--filter", "name=net").stdout == ""
    engine.docker("rm", "late")


def test_words_that_end_up_in_rules_and_files(engine):
    """An address is an address: nothing may follow it, and it is kept as the kernel writes it."""
    evil = f"{SIX}::5%a\nevil"
    for body in (
        subnet(Subnet=f"{SIX}::%}}/64"),
        subnet(Subnet=f"{SIX}::/64", Gateway=f"{SIX}::1%x"),
        {"Name": "x", "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "ff05::/64"}]}},
        subnet(Subnet=f"{LAN}.9.0/32", AuxiliaryAddresses={"a": f"{LAN}.9.0"}),
    ):
        body["EnableIPv6"] = True
        status, answer = engine.request("POST", "/networks/create", body)
        assert status == 400, answer
    status, answer = engine.request("POST", "/networks/create", {
        "Name": "six", "EnableIPv6": True,
        "IPAM": {"Config": [{"Subnet": f"{SIX}::/64", "Gateway": f"{SIX}:0::1".upper()}]},
    })  # fmt: skip
    assert status == 201, answer
    (plan,) = json.loads(engine.docker("network", "inspect", "six").stdout)
    assert plan["IPAM"]["Config"][0]["Gateway"] == f"{SIX}::1"
    base = {"Image": "busybox", "Cmd": ["true"]}
    for host in (
        {"PortBindings": {"80/tcp": [{"HostIp": "localhost", "HostPort": "1"}]}},
        {"Dns": ["nothing"]},
        {"Dns": ["1.1.1.1\nevil"]},
        {"DnsSearch": ["a\nb"]},
        {"ExtraHosts": ["a:b"]},
        {"ExtraHosts": ["a:1.1.1.1\nb"]},
    ):
        status, answer = engine.request("POST", "/containers/create", {**base, "HostConfig": host})
        assert status == 400, (host, answer)
    wish = {"NetworkMode": "six"}
    networking = {"EndpointsConfig": {"six": {"IPAMConfig": {"IPv6Address": evil}}}}
    body = {**base, "HostConfig": wish, "NetworkingConfig": networking}
    engine.request("POST", "/containers/create?name=box", body)
    status, answer = engine.request("POST", "/containers/box/start")
    assert (status, "invalid IPv6 address" in answer["message"]) == (400, True), answer


def test_packets_that_are_no_questions(engine):
    """Answers, scraps and noise are not answered, and what follows them is."""
    engine.docker("network", "create", "net")
    idle(engine, "box", "--network", "net", "--mac-address", "02-42-AA-00-00-01")
    code = (
        "import os, socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.connect(('127.0.0.11', 53))\n"
        "for n in range(400): s.send(os.urandom(n % 60))\n"
        "s.send(b'\\x12\\x34\\x80\\0\\0\\1\\0\\0\\0\\0\\0\\0')\n"
    )
    pid = inspected(engine, "box", "{{.State.Pid}}")
    subprocess.run(["nsenter", "-n", "-t", pid, sys.executable, "-c", code], check=True)
    assert looked_up(engine, "box", "box") == [address(engine, "box", "net")]
    assert "Traceback" not in engine.log.read_text()
