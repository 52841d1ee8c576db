"""Who may open a websocket: as REST decides, and no page of somebody else's."""

from __future__ import annotations

import json

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.test import Client

from accounts.models import User
from config.sockets import routes
from engine.client.client import EngineRefused, container_path, image_path
from workloads.api.sockets import parsed

PATHS = ("logs", "stats", "console")
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def layer(settings, tmp_path):
    """Keep messages in this process, and let no engine answer."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.ENGINE_SOCKET = str(tmp_path / "nothing.sock")


def cookie_of(user):
    """Return the session cookie of a signed-in user."""
    visitor = Client()
    visitor.force_login(user)
    return f"hythe_session={visitor.cookies['hythe_session'].value}".encode()


async def connect(path, headers):
    """Open a websocket."""
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"here.test"), *headers],
        "client": ("127.0.0.1", 1),
    }
    socket = ApplicationCommunicator(AuthMiddlewareStack(URLRouter(routes)), scope)
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(10))["type"] == "websocket.accept"
    return socket


async def disconnect(socket):
    """Hang up and wait for the end of what the websocket did."""
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(10)


async def first_word(path, headers):
    """Open a websocket and return its first message or close."""
    socket = await connect(path, headers)
    word = await socket.receive_output(10)
    await disconnect(socket)
    return word


async def answer(socket, text):
    """Send a wish and return what is said to it."""
    await socket.send_input({"type": "websocket.receive", "text": text})
    return json.loads((await socket.receive_output(10))["text"])


@pytest.fixture
def people():
    """Return cookies of an administrator and of somebody without any permission."""
    return {
        "rosa": cookie_of(User.objects.create_superuser("rosa", password="x")),
        "sam": cookie_of(User.objects.create_user("sam", password="x")),
    }


@pytest.mark.parametrize("path", PATHS)
async def test_container_sockets_go_through_the_door(people, path):
    """A stranger is not let in, a user is refused, an administrator learns the engine is away."""
    address = f"/ws/environments/local/containers/web/{path}"
    origin = (b"origin", b"http://here.test")
    closed = {"type": "websocket.close", "code": 4401}
    for headers in ([], [origin], [(b"cookie", people["rosa"])]):
        word = await first_word(address, headers)
        assert {key: word[key] for key in closed} == closed
    elsewhere = [(b"cookie", people["rosa"]), (b"origin", b"http://elsewhere.test")]
    assert (await first_word(address, elsewhere))["code"] == 4401
    word = await first_word(address, [(b"cookie", people["sam"]), origin])
    assert '"forbidden"' in word["text"]
    word = await first_word(address, [(b"cookie", people["rosa"]), origin])
    told = "history" if path == "stats" else '"engine_unreachable"'
    assert told in word["text"]


async def test_the_tab_hears_of_no_environment_that_is_not_its_own(people):
    """Subscriptions go through the same door."""
    origin = (b"origin", b"http://here.test")
    socket = await connect("/ws/live", [origin, (b"cookie", people["sam"])])
    for wish in (
        {"subscribe": "events", "environment": "local"},
        {"subscribe": "stats", "environment": "local", "ids": ["x"]},
    ):
        assert (await answer(socket, json.dumps(wish)))["error"]["code"] == "forbidden"
    await disconnect(socket)
    socket = await connect("/ws/live", [origin, (b"cookie", people["rosa"])])
    for wrong in ("[]", "{", '{"subscribe": "stats", "environment": "local", "ids": 3}'):
        assert (await answer(socket, wrong))["error"]["code"] == "invalid"
    await disconnect(socket)


@pytest.mark.parametrize("name", ["..", "a/b", "a?b", "a%2fb", "", "../images/x", "a b", "a\n"])
def test_a_name_never_becomes_another_path(name):
    """What no container can be called is told to be missing, and never asked for."""
    with pytest.raises(EngineRefused, match="No such container"):
        container_path(name)


@pytest.mark.parametrize("name", ["../x", "a/../b", "a?force=1", "/a", "a//b", ""])
def test_an_image_never_becomes_another_path(name):
    """The same for images, whose names have slashes."""
    with pytest.raises(EngineRefused, match="No such image"):
        image_path(name)
    assert image_path("127.0.0.1:5000/team/web:1") == "/images/127.0.0.1:5000/team/web:1"
    assert image_path(f"web@sha256:{'a' * 64}").startswith("/images/web@sha256:")


def test_log_lines():
    """A line is its time in milliseconds, its stream and its text; half a line keeps its text."""
    line = b"2026-01-01T00:00:01.500123456Z hello  there\r"
    assert parsed(2, line) == (1767225601500, "e", "hello  there")
    assert parsed(1, b"no time here") == (0, "o", "no time here")
