"""Compose v1 (Debian's docker-compose 1.29) against the engine: a project of three services."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.conformance.test_networks import connect_from_here, looked_up
from tests.support.engine import wait_until
from tests.support.place import PORTS

PROJECT = f"""
version: "3.7"
services:
  db:
    image: busybox
    command: sh -c "echo kept >> /data/file; exec sleep 1000"
    volumes: ["store:/data"]
    networks:
      back: {{aliases: [database]}}
  app:
    image: busybox
    command: sh -c "mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w"
    environment: {{STORE: database}}
    depends_on: [db]
    networks: [front, back]
  web:
    image: busybox
    command: sh -c "mkdir /w; echo web > /w/index.html; exec httpd -f -p 80 -h /w"
    depends_on: [app]
    ports: ["127.0.0.1:{PORTS + 500}:80"]
    networks: [front]
networks:
  front: {{}}
  back: {{internal: true}}
volumes:
  store: {{}}
"""


@pytest.fixture
def compose(engine, tmp_path):
    """Return a function that runs docker-compose in the project."""
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "docker-compose.yml").write_text(PROJECT)

    def run(*words):
        done = subprocess.run(
            ["docker-compose", *words], cwd=directory, env=engine.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    yield run
    run("down", "-v")


def test_a_project(engine, compose):
    """Up, names, ports, scaling, logs, exec, a second up that changes nothing, and down."""
    compose("up", "-d")
    wait_until(lambda: connect_from_here("127.0.0.1", PORTS + 500) == "web", "it serves")
    rows = json.loads(engine.docker("inspect", "shop_db_1").stdout)[0]
    address = rows["NetworkSettings"]["Networks"]["shop_back"]["IPAddress"]
    for name in ("db", "database", "shop_db_1"):
        assert looked_up(engine, "shop_app_1", name) == [address], name
    assert looked_up(engine, "shop_web_1", "database") == []
    assert len(looked_up(engine, "shop_web_1", "app")) == 1
    before = compose("ps", "-q").split()
    compose("up", "-d")
    assert compose("ps", "-q").split() == before
    compose("up", "-d", "--scale", "app=3")
    assert len(looked_up(engine, "shop_web_1", "app")) == 3
    assert len(compose("ps", "-q").split()) == 5
    assert compose("exec", "-T", "db", "cat", "/data/file") == "kept\n"
    compose("restart", "-t", "0", "db")
    assert compose("exec", "-T", "db", "cat", "/data/file") == "kept\nkept\n"
    compose("stop", "-t", "0")
    compose("start")
    compose("down", "-t", "0")
    assert engine.docker("ps", "-aq").stdout == ""
    assert "shop" not in engine.docker("network", "ls").stdout
    assert engine.docker("volume", "ls", "-q").stdout == "shop_store\n"
    compose("up", "-d", "db")
    assert compose("exec", "-T", "db", "cat", "/data/file").count("kept") == 4
    compose("down", "-v", "-t", "0")
    assert engine.docker("volume", "ls", "-q").stdout == ""
