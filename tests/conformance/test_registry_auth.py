"""Pulls from registries that ask who it is, with what `docker login` leaves in the config."""

from __future__ import annotations

import base64
import json

import bcrypt

from tests.support.images import push
from tests.support.registry import running_registry
from tests.support.tokens import running_token_server

USER = "rosa:a harbour of reeds"


def pull(engine, directory, address, user, *, check=0):
    """Pull as somebody whose docker config has these credentials; return what was said."""
    auths = {address: {"auth": base64.b64encode(user.encode()).decode()}} if user else {}
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"auths": auths}))
    words = ("--config", str(directory), "pull", f"{address}/team/busybox:1")
    result = engine.docker(*words, check=check)
    return result.stdout + result.stderr


def test_basic(engine, layout, tmp_path):
    """A registry with a password file: only the right password gets the image."""
    name, _, password = USER.partition(":")
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(5, prefix=b"2a")).decode()
    (tmp_path / "htpasswd").write_text(f"{name}:{hashed}\n")
    auth = f"auth: {{htpasswd: {{realm: tests, path: '{tmp_path / 'htpasswd'}'}}}}\n"
    with running_registry(tmp_path, auth) as address:
        push(layout, "busybox", f"{address}/team/busybox:1", USER)
        for wrong in ("", "rosa:wrong"):
            told = pull(engine, tmp_path / "wrong", address, wrong, check=1)
            assert "no basic auth credentials" in told or "pull access denied" in told
        told = pull(engine, tmp_path / "right", address, USER)
        assert "Downloaded newer image" in told
        engine.docker("rmi", f"{address}/team/busybox:1")


def test_bearer(engine, layout, tmp_path):
    """A registry with a token server: the token is asked for with the scope of the image."""
    with running_token_server(tmp_path, USER) as (auth, scopes):
        with running_registry(tmp_path, auth) as address:
            push(layout, "busybox", f"{address}/team/busybox:1", USER)
            scopes.clear()
            told = pull(engine, tmp_path / "wrong", address, "rosa:wrong", check=1)
            assert "pull access denied" in told
            told = pull(engine, tmp_path / "right", address, USER)
            assert "Downloaded newer image" in told
            assert scopes == ["repository:team/busybox:pull"]
            engine.docker("rmi", f"{address}/team/busybox:1")
