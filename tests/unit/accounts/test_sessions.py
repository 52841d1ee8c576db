"""Setup, sign-in and tokens, through the API."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from accounts.services import new_setup_token
from audit.models import Entry

PASSWORD = "a harbour of reeds"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def memory_cache(settings):
    """Throttling counts in memory; no Redis is needed."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield
    cache.clear()


def post(client, path, body, **headers):
    return client.post(path, body, content_type="application/json", headers=headers)


@pytest.fixture
def administrator():
    return User.objects.create_superuser("rosa", password=PASSWORD)


def test_setup_once(client):
    """The link makes one administrator, and is worth nothing afterwards."""
    token = new_setup_token()
    body = {"token": token, "username": "rosa", "password": PASSWORD}
    assert client.get("/api/v1/session").json()["setup_required"] is True
    wrong = post(client, "/api/v1/setup", {**body, "token": "wrong"})
    assert wrong.status_code == 403
    weak = post(client, "/api/v1/setup", {**body, "password": "short"})
    assert weak.status_code == 400
    assert "password" in weak.json()["error"]["fields"]
    made = post(client, "/api/v1/setup", body)
    assert made.status_code == 201
    assert made.json()["user"]["is_administrator"] is True
    again = post(Client(), "/api/v1/setup", {**body, "username": "sam"})
    assert again.status_code == 403
    assert User.objects.count() == 1
    assert Entry.objects.filter(permission="setup.complete").count() == 1


def test_sign_in_and_out(client, administrator):
    """A session begins with the password and ends on request."""
    refused = post(client, "/api/v1/session", {"username": "rosa", "password": "wrong"})
    unknown = post(client, "/api/v1/session", {"username": "nobody", "password": "wrong"})
    assert refused.status_code == unknown.status_code == 400
    assert refused.json()["error"]["message"] == unknown.json()["error"]["message"]
    assert client.get("/api/v1/environments").status_code == 401
    body = {"username": "rosa", "password": PASSWORD}
    assert post(client, "/api/v1/session", body).json()["user"]["username"] == "rosa"
    assert client.get("/api/v1/environments").status_code == 200
    assert client.delete("/api/v1/session").status_code == 204
    assert client.get("/api/v1/environments").status_code == 401


def test_sign_in_is_throttled(client, administrator):
    """After ten failures even the right password waits."""
    for _ in range(10):
        post(client, "/api/v1/session", {"username": "rosa", "password": "wrong"})
    answer = post(client, "/api/v1/session", {"username": "rosa", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0


def test_a_session_needs_the_csrf_token(administrator):
    """Cookies alone change nothing."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(administrator)
    assert post(client, "/api/v1/tokens", {"name": "ci"}).status_code == 403
    token = client.get("/api/v1/session").json()["csrf_token"]
    made = post(client, "/api/v1/tokens", {"name": "ci"}, **{"X-CSRFToken": token})
    assert made.status_code == 201


def test_tokens(client, administrator):
    """A token works as a header, is listed without its secret, and can be revoked."""
    client.force_login(administrator)
    made = post(client, "/api/v1/tokens", {"name": "ci"}).json()
    program = Client(headers={"Authorization": f"Bearer {made['secret']}"})
    assert program.get("/api/v1/environments").status_code == 200
    listed = client.get("/api/v1/tokens").json()["items"]
    assert [row["name"] for row in listed] == ["ci"]
    assert "secret" not in listed[0]
    assert listed[0]["last_used"]
    assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert program.get("/api/v1/environments").status_code == 401
