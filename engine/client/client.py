"""A client of any Docker Engine API on a unix socket."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "v1.43"  # spoken by every engine since 2023, Podman's included
TIMEOUT = httpx.Timeout(30.0, connect=3.0)


class EngineUnreachable(Exception):
    """Nothing answers on the engine's socket."""


class EngineRefused(Exception):
    """The engine answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_IMAGE = re.compile(r"[a-zA-Z0-9][\w.:@-]*(?:/[a-zA-Z0-9][\w.:@-]*)*")


def container_path(reference: str) -> str:
    """Return a container's path; what cannot be a name must not become another path.

    Raises: EngineRefused(404, as the engine says it).
    """
    if not _CONTAINER.fullmatch(reference):
        raise EngineRefused(404, f"No such container: {reference}")
    return f"/containers/{reference}"


def image_path(reference: str) -> str:
    """Return an image's path. Raises: EngineRefused(404, as the engine says it)."""
    if not _IMAGE.fullmatch(reference):
        raise EngineRefused(404, f"No such image: {reference}")
    return f"/images/{reference}"


class EngineClient:
    """One connection pool to one engine; use it in a `with` statement."""

    def __init__(self, socket: str) -> None:
        transport = httpx.HTTPTransport(uds=socket)
        base = f"http://engine/{VERSION}"
        self._http = httpx.Client(transport=transport, base_url=base, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        """Return the open client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """Ask and return the answer's JSON, None for an empty one.

        Raises: EngineUnreachable · EngineRefused(status, the engine's words).
        """
        timeout = TIMEOUT if seconds is None else httpx.Timeout(seconds, connect=3.0)
        try:
            response = self._http.request(method, path, params=query, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise EngineUnreachable(f"the engine does not answer: {error}") from error
        _check(response)
        return response.json() if response.content else None

    def list_containers(self, container_id: str | None = None) -> list[dict[str, Any]]:
        """Return every container's row, or that of one."""
        query: dict[str, Any] = {"all": 1}
        if container_id:
            query["filters"] = json.dumps({"id": [container_id]})
        rows: list[dict[str, Any]] = self.call("GET", "/containers/json", query=query)
        return rows

    def inspect_container(self, container_id: str) -> dict[str, Any]:
        """Return one container's full description."""
        row: dict[str, Any] = self.call("GET", f"{container_path(container_id)}/json")
        return row

    def create_container(self, name: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """Make a container; return Id and Warnings."""
        query = {"name": name} if name else {}
        row: dict[str, Any] = self.call("POST", "/containers/create", query=query, body=body)
        return row

    def act_on_container(self, container_id: str, verb: str) -> None:
        """Start, stop, restart or kill; a container already there is fine."""
        try:
            self.call("POST", f"{container_path(container_id)}/{verb}", seconds=120)
        except EngineRefused as error:
            if error.status != 304:
                raise

    def remove_container(self, container_id: str, *, force: bool, volumes: bool) -> None:
        """Remove a container."""
        query = {"force": int(force), "v": int(volumes)}
        self.call("DELETE", container_path(container_id), query=query, seconds=120)

    def list_images(self) -> list[dict[str, Any]]:
        """Return every image's row."""
        rows: list[dict[str, Any]] = self.call("GET", "/images/json")
        return rows

    def remove_image(self, reference: str, *, force: bool) -> list[dict[str, str]]:
        """Remove an image; return what was untagged and deleted."""
        path = image_path(reference)
        rows: list[dict[str, str]] = self.call("DELETE", path, query={"force": int(force)})
        return rows

    def pull_image(
        self, reference: str, credentials: dict[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the engine's progress lines; leaving the iterator stops the pull.

        Raises: EngineUnreachable · EngineRefused, also for an error in the middle.
        """
        headers = {}
        if credentials:
            text = json.dumps(credentials).encode()
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(text).decode()
        query = {"fromImage": reference}
        timeout = httpx.Timeout(None, connect=3.0)
        try:
            with self._http.stream(
                "POST", "/images/create", params=query, headers=headers, timeout=timeout
            ) as response:
                if response.is_error:
                    response.read()
                _check(response)
                for line in response.iter_lines():
                    if line.strip():
                        message: dict[str, Any] = json.loads(line)
                        if "error" in message:
                            raise EngineRefused(500, str(message["error"]))
                        yield message
        except httpx.HTTPError as error:
            raise EngineUnreachable(f"the engine does not answer: {error}") from error


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text or response.reason_phrase
    raise EngineRefused(response.status_code, message)
