"""A real server on a real distribution, from a registry to its end, with the docker command."""

from __future__ import annotations

import subprocess
import urllib.request

import pexpect

from tests.support.debian import debian, nginx
from tests.support.images import push
from tests.support.registry import free_port


def test_nginx_from_registry_to_removal(engine, registry, tmp_path):
    """pull, run -d -p, ps, fetch, logs -f, exec -it, stop, rm."""
    reference = f"{registry}/library/nginx:1"
    push(nginx().write(tmp_path / "nginx", "nginx"), "nginx", reference)
    assert "Status: Downloaded newer image" in engine.docker("pull", reference).stdout
    port = free_port()
    words = ("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", "-m", "256m", reference)
    engine.docker(*words)
    assert f"127.0.0.1:{port}->80/tcp" in engine.docker("ps").stdout

    log = subprocess.Popen(
        ["docker", "logs", "-f", "web"],
        env=engine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?beacon", timeout=20) as answer:
            assert b"Reeds in the harbour" in answer.read()
        assert any("GET /?beacon" in line for line in iter(log.stdout.readline, ""))

        shell = pexpect.spawn(
            "docker", ["exec", "-it", "web", "bash"], env=engine.environment, timeout=20
        )
        shell.expect("# ")
        shell.sendline("nginx -v; stty size; exit 4")
        shell.expect(r"nginx version: nginx/[\d.]+")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 4

        engine.docker("stop", "web")
        log.wait(20)  # the follower ends with the container
    finally:
        log.kill()
        log.wait()
        log.stdout.close()
    assert "Exited (0)" in engine.docker("ps", "-a").stdout
    engine.docker("rm", "web")
    engine.docker("rmi", reference)


def test_debian_has_its_packages_tool(engine, registry, tmp_path):
    """A container of Debian reaches names and mirrors outside, so apt can install."""
    reference = f"{registry}/library/debian:bookworm"
    push(debian().write(tmp_path / "debian", "debian"), "debian", reference)
    script = "apt-get -qq update && apt-get -qq install -y --no-install-recommends hello && hello"
    said = engine.docker("run", "--rm", reference, "bash", "-ec", script, seconds=120)
    assert "Hello, world!" in said.stdout
    engine.docker("rmi", reference)
