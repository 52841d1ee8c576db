"""A client of the OCI distribution API, as registries of every kind speak it.

Source: OCI distribution-spec; Docker registry token authentication.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import aiohttp

from engine.core.descriptor import INDEXES, MANIFESTS
from engine.core.digest import digest_of
from engine.core.errors import DataLoss, InvalidArgument, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine.content.blobs import Ingest
    from engine.core.descriptor import Descriptor
    from engine.core.reference import Reference

MAXIMUM_MANIFEST = 4 * 1024 * 1024  # bytes, as the distribution-spec allows
HUB = "registry-1.docker.io"
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=30, sock_read=60)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Credentials:
    """What a client knows of a registry."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    @classmethod
    def from_header(cls, text: str | None) -> Credentials | None:
        """Read X-Registry-Auth: base64url of JSON. Raises: InvalidArgument."""
        if not text:
            return None
        try:
            value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or b"{}")
        except ValueError as error:
            raise InvalidArgument(f"invalid X-Registry-Auth header: {error}") from error
        if not isinstance(value, dict) or not any(value.values()):
            return None
        return cls(
            str(value.get("username") or ""),
            str(value.get("password") or ""),
            str(value.get("identitytoken") or ""),
        )


class Repository:
    """One repository of a registry, for the length of one piece of work."""

    def __init__(self, reference: Reference, credentials: Credentials | None) -> None:
        self._reference = reference
        self._credentials = credentials
        self._authorization: str | None = None
        host = HUB if reference.domain == "docker.io" else reference.domain
        scheme = "http" if _is_loopback(host) else "https"
        self._base = f"{scheme}://{host}/v2/{reference.path}"
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Repository:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT, auto_decompress=False, trust_env=True
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._session.close()

    async def manifest(self, selector: str) -> tuple[str, bytes, str]:
        """Return (digest, bytes, media type) of what a tag or digest names.

        Raises: NotFound · Unauthorized · Unavailable · DataLoss(not what the digest says).
        """
        accept = ", ".join((*MANIFESTS, *INDEXES))
        async with self._get(f"manifests/{selector}", {"Accept": accept}) as response:
            data = await response.content.read(MAXIMUM_MANIFEST + 1)
            while len(data) <= MAXIMUM_MANIFEST and (more := await response.content.read(1 << 16)):
                data += more
            if len(data) > MAXIMUM_MANIFEST:
                raise InvalidArgument("the manifest is larger than 4 MiB")
            kind = response.headers.get("Content-Type", "").partition(";")[0]
        digest = digest_of(data)
        if selector.startswith("sha256:") and selector != digest:
            raise DataLoss(f"manifest verification failed for digest {selector}")
        return digest, data, kind

    async def fetch(
        self, blob: Descriptor, ingest: Ingest, progress: Callable[[int], Awaitable[None]]
    ) -> None:
        """Stream a blob into `ingest`; `progress` gets the bytes so far.

        Raises: as manifest · DataLoss(more bytes than the descriptor says).
        """
        async with self._get(f"blobs/{blob.digest}", {}) as response:
            async for data in response.content.iter_chunked(512 * 1024):
                ingest.write(data)
                if ingest.size > blob.size:
                    raise DataLoss(f"blob {blob.digest} is longer than its manifest says")
                await progress(ingest.size)

    @asynccontextmanager
    async def _get(
        self, path: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for attempt in (1, 2):
            sent = dict(headers)
            if self._authorization:
                sent["Authorization"] = self._authorization
            try:
                # aiohttp drops Authorization when a redirect leads to another host, so blob
                # storages never see it.
                async with self._session.get(f"{self._base}/{path}", headers=sent) as response:
                    if response.status == 401 and attempt == 1:
                        await self._log_in(response.headers.get("WWW-Authenticate", ""))
                        continue
                    await self._check(response, path)
                    yield response
                    return
            except aiohttp.ClientConnectorError as error:
                raise Unavailable(f'Get "{self._base}/{path}": {error.os_error}') from error
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(f'Get "{self._base}/{path}": {error}') from error

    async def _check(self, response: aiohttp.ClientResponse, path: str) -> None:
        if response.status == 200:
            return
        name = self._reference.familiar_name
        if response.status == 404:
            if path.startswith("manifests/"):
                raise NotFound(
                    f"manifest for {self._reference.familiar} not found: manifest unknown: "
                    "manifest unknown"
                )
            raise NotFound(f"blob unknown to registry: {path.removeprefix('blobs/')}")
        if response.status in (401, 403):
            # Not 401: the docker CLI would stop a script to ask for a password.
            raise NotFound(
                f"pull access denied for {name}, repository does not exist or may require "
                "'docker login': denied: requested access to the resource is denied"
            )
        if response.status == 429:
            raise Unavailable("toomanyrequests: the registry limits how often it is asked")
        raise Unavailable(
            f"unexpected status from GET request to {self._base}/{path}: "
            f"{response.status} {response.reason}"
        )

    async def _log_in(self, challenge: str) -> None:
        kind, _, rest = challenge.partition(" ")
        found = self._credentials
        if kind.lower() == "basic":
            if found is None:
                raise Unavailable(f'Head "{self._base}": no basic auth credentials')
            self._authorization = aiohttp.BasicAuth(found.username, found.password).encode()
            return
        if kind.lower() != "bearer":
            raise Unavailable(f"the registry asks for an unknown authentication: {kind[:40]!r}")
        words = dict(_CHALLENGE.findall(rest))
        query = {"scope": f"repository:{self._reference.path}:pull"}
        if service := words.get("service"):
            query["service"] = service
        auth = (
            aiohttp.BasicAuth(found.username, found.password) if found and found.username else None
        )
        realm = words.get("realm", "")
        if not (realm.startswith("https://") or self._base.startswith("http://")):
            raise Unavailable("the registry sends passwords to a server without TLS: refused")
        async with self._session.get(realm, params=query, auth=auth) as response:
            if response.status != 200:
                raise NotFound(
                    f"pull access denied for {self._reference.familiar_name}, repository does not "
                    "exist or may require 'docker login'"
                )
            answer: dict[str, Any] = json.loads(await response.read())
        self._authorization = f"Bearer {answer.get('token') or answer.get('access_token') or ''}"


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
