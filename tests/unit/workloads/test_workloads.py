"""Rules of the platform that need no engine."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from workloads.services import engine_body
from workloads.tasks import summary, take

ROUTES = (
    ("GET", ""),
    ("GET", "/containers"),
    ("POST", "/containers"),
    ("GET", "/containers/web"),
    ("DELETE", "/containers/web"),
    ("GET", "/containers/web/inspect"),
    ("POST", "/containers/web/start"),
    ("POST", "/containers/web/stop"),
    ("POST", "/containers/bulk"),
    ("GET", "/summary"),
    ("GET", "/images"),
    ("POST", "/images/pull"),
    ("DELETE", "/images/team/web:1"),
)


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_asks_who_and_whether(client, settings, tmp_path, method, path):
    """Nobody is 401, a user without the permission 403, an unreachable engine 503."""
    settings.ENGINE_SOCKET = str(tmp_path / "nothing.sock")
    people = {
        "user": User.objects.create_user("sam", password="x"),
        "administrator": User.objects.create_superuser("rosa", password="x"),
    }
    call = f"/api/v1/environments/local{path}"
    assert client.generic(method, call).status_code == 401
    for name, wanted in (("user", {403}), ("administrator", {503, 200, 400})):
        visitor = Client()
        visitor.force_login(people[name])
        visitor.get("/api/v1/environments")
        answer = visitor.generic(method, call)
        assert answer.status_code in wanted, answer.content
    elsewhere = visitor.generic(method, f"/api/v1/environments/other{path}")
    assert elsewhere.status_code == 404


def test_the_form_becomes_a_create_request():
    """Ports, volumes and limits arrive where the engine expects them."""
    body = engine_body(
        {
            "image": "nginx",
            "env": {"A": "1"},
            "ports": [{"container_port": 80, "protocol": "tcp", "host_port": 8080}],
            "volumes": [{"source": "data", "target": "/data", "read_only": True}],
            "cpus": 0.5,
            "auto_remove": False,
            "tty": False,
            "open_stdin": False,
        }
    )
    assert body["Env"] == ["A=1"]
    assert body["ExposedPorts"] == {"80/tcp": {}}
    host = body["HostConfig"]
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert host["Binds"] == ["data:/data:ro"]
    assert host["NanoCpus"] == 500_000_000


def test_progress_of_a_pull():
    """The engine's lines add up to layers with bytes."""
    layers = {}
    lines = [
        {"status": "Pulling from team/web", "id": "1"},
        {"status": "Pulling fs layer", "id": "aa"},
        {"status": "Downloading", "id": "aa", "progressDetail": {"current": 5, "total": 10}},
        {"status": "Already exists", "id": "bb"},
    ]
    assert [take(layers, line) for line in lines] == [False, True, True, True]
    found = summary(layers)
    assert found["current"] == 5
    assert found["total"] == 10
    assert [row["status"] for row in found["layers"]] == ["downloading", "exists"]
