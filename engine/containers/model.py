"""A container as the engine remembers it, and what its state allows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.core.clock import ZERO, parse, stamp
from engine.core.errors import Conflict, Internal, NotModified

if TYPE_CHECKING:
    from datetime import datetime

    from engine.runtime.runtime import ExitStatus, RunningContainer, RunningExec


class State(StrEnum):
    """What `docker ps` calls the status."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Verb(StrEnum):
    """What may be asked of a container."""

    START = "start"
    STOP = "stop"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    EXEC = "exec"
    REMOVE = "remove"
    RESIZE = "resize"
    ATTACH = "attach"


_RUNS = frozenset({State.RUNNING, State.PAUSED})
# The one table of what is possible in which state.
ALLOWED: dict[Verb, frozenset[State]] = {
    Verb.START: frozenset({State.CREATED, State.EXITED, State.DEAD}),
    Verb.STOP: _RUNS | {State.RESTARTING},
    Verb.KILL: _RUNS,
    Verb.PAUSE: frozenset({State.RUNNING}),
    Verb.UNPAUSE: frozenset({State.PAUSED}),
    Verb.EXEC: frozenset({State.RUNNING}),
    Verb.REMOVE: frozenset({State.CREATED, State.EXITED, State.DEAD}),
    Verb.RESIZE: _RUNS,
    Verb.ATTACH: frozenset({State.CREATED, State.RUNNING, State.EXITED}),
}


# Which state may follow which, and the event that tells of it; "" where Docker tells nothing.
MOVES: dict[State, dict[State, str]] = {
    State.CREATED: {State.RUNNING: "start", State.REMOVING: "destroy"},
    State.RUNNING: {State.PAUSED: "pause", State.EXITED: "die"},
    State.PAUSED: {State.RUNNING: "unpause", State.EXITED: "die"},
    State.EXITED: {State.RUNNING: "start", State.RESTARTING: "", State.REMOVING: "destroy"},
    State.RESTARTING: {State.RUNNING: "start", State.EXITED: "", State.REMOVING: "destroy"},
    # A new container is one about to be removed until all that belongs to it is there.
    State.REMOVING: {State.CREATED: "create"},
    State.DEAD: {State.RUNNING: "start", State.REMOVING: "destroy"},
}


def _refusal(verb: Verb, state: State, container_id: str) -> Exception:
    short = container_id[:12]
    if verb is Verb.START and state is State.PAUSED:
        return Conflict("cannot start a paused container, try unpause instead")
    if verb in (Verb.START, Verb.STOP):
        return NotModified("container already in the wanted state")
    if verb is Verb.PAUSE and state is State.PAUSED:
        return Conflict(f"Container {container_id} is already paused")
    if verb is Verb.UNPAUSE:
        return Conflict(f"Container {container_id} is not paused")
    if verb is Verb.EXEC and state is State.PAUSED:
        return Conflict(f"container {container_id} is paused, unpause the container before exec")
    if verb is Verb.ATTACH and state is State.PAUSED:
        return Conflict(f"container {container_id} is paused, unpause the container before attach")
    if verb in (Verb.ATTACH, Verb.EXEC) and state is State.RESTARTING:
        return Conflict(
            f"container {container_id} is restarting, wait until the container is running"
        )
    if verb is Verb.KILL:
        return Conflict(f"cannot kill container: {short}: container {container_id} is not running")
    return Conflict(f"container {container_id} is not running")


@dataclass
class Container:
    """One container: its document, and what exists of it now.

    Shape: `document` has the keys Id, Name (without slash), Created, Image (ID), ImageName, Path,
           Args, Config, HostConfig, State, RestartCount, LogPath, Mounts, NetworkSettings; and
           Plan (see `engine.containers.mounts`), StoppedByHand, RestartDelay of its own.
    """

    document: dict[str, Any]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: RunningContainer | None = None
    execs: dict[str, Exec] = field(default_factory=dict)
    health: asyncio.Task[None] | None = None
    restarts: int = 0  # restarts under way
    restart_timer: asyncio.TimerHandle | None = None
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    next_exit: asyncio.Event = field(default_factory=asyncio.Event)
    removed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting_attachments: list[Any] = field(default_factory=list)
    pending_exit: ExitStatus | None = None

    @property
    def id(self) -> str:
        """Return the ID."""
        return str(self.document["Id"])

    @property
    def name(self) -> str:
        """Return the name without its slash."""
        return str(self.document["Name"])

    @property
    def config(self) -> dict[str, Any]:
        """Return Docker's Config."""
        return self.document["Config"]  # type: ignore[no-any-return]

    @property
    def host_config(self) -> dict[str, Any]:
        """Return Docker's HostConfig."""
        return self.document["HostConfig"]  # type: ignore[no-any-return]

    @property
    def state(self) -> State:
        """Return the state."""
        return State(self.document["State"]["Status"])

    @property
    def stopped_by_hand(self) -> bool:
        """Tell whether somebody asked for the last end, which restart policies respect."""
        return bool(self.document.get("StoppedByHand"))

    @stopped_by_hand.setter
    def stopped_by_hand(self, value: bool) -> None:
        self.document["StoppedByHand"] = value

    @property
    def is_running(self) -> bool:
        """Tell whether processes of it exist."""
        return self.state in _RUNS

    def require(self, verb: Verb) -> None:
        """Raise what the client is told when the state forbids the verb."""
        if self.state not in ALLOWED[verb]:
            raise _refusal(verb, self.state, self.id)

    def set_state(self, state: State, **fields: object) -> None:
        """Move to a state; keyword arguments are Docker's own field names.

        Raises: Internal(no such move).
        """
        if state is not self.state and state not in MOVES[self.state]:
            raise Internal(f"container {self.id} cannot become {state} from {self.state}")
        values = self.document["State"]
        values.update(fields)
        values["Status"] = state.value
        # Between two runs a container counts as running, as it does for the Docker Engine.
        values["Running"] = state in _RUNS or state is State.RESTARTING
        values["Paused"] = state is State.PAUSED
        values["Restarting"] = state is State.RESTARTING
        values["Dead"] = state is State.DEAD

    def finished_at(self) -> datetime:
        """Return when it last ended."""
        return parse(self.document["State"]["FinishedAt"])

    def attributes(self, **more: str) -> dict[str, str]:
        """Return what every event of this container carries."""
        image = str(self.config.get("Image") or "")
        return {**(self.config.get("Labels") or {}), "image": image, "name": self.name, **more}


def new_state(status: State, health: dict[str, Any] | None) -> dict[str, Any]:
    """Return Docker's State of a container that never ran; `health` is its health check."""
    state: dict[str, Any] = {
        "Status": status.value,
        "Running": False,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 0,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": ZERO,
        "FinishedAt": ZERO,
    }
    if has_health_check(health):
        state["Health"] = {"Status": "starting", "FailingStreak": 0, "Log": []}
    return state


def has_health_check(health: dict[str, Any] | None) -> bool:
    """Tell whether Docker's Healthcheck says anything to run."""
    test = (health or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


@dataclass
class Exec:
    """One exec instance: what was asked for, and the process once it was started."""

    id: str
    container: Container
    config: dict[str, Any]
    created: str = field(default_factory=stamp)
    running: RunningExec | None = None
    code: int | None = None
    started: bool = False

    @property
    def exit_code(self) -> int | None:
        """Return the exit code once there is one, as soon as the supervisor told it."""
        if self.code is None and self.running and self.running.exited.done():
            return self.running.exited.result()
        return self.code
