"""The engine's one error vocabulary; `engine.api.errors` turns each class into a status.

Message texts are wire contract: the docker CLI and docker-py read them, so each text that a
client parses is built by a classmethod here.
"""

from __future__ import annotations

from typing import Self


class EngineError(Exception):
    """Base of every failure that is told to a client."""


class NotFound(EngineError):
    """The named object does not exist."""

    @classmethod
    def container(cls, ref: str) -> Self:
        """Answer what docker-py and the CLI expect for an unknown container."""
        return cls(f"No such container: {ref}")

    @classmethod
    def image(cls, ref: str) -> Self:
        """Answer what makes the CLI pull a missing image."""
        return cls(f"No such image: {ref}")

    @classmethod
    def exec_instance(cls, ref: str) -> Self:
        """Answer for an unknown exec ID."""
        return cls(f"No such exec instance: {ref}")

    @classmethod
    def network(cls, ref: str) -> Self:
        """Answer for an unknown network."""
        return cls(f"network {ref} not found")


class InvalidArgument(EngineError):
    """The request cannot be understood or is refused by validation."""


class Conflict(EngineError):
    """The object's state forbids the verb, or a name is taken."""

    @classmethod
    def name_in_use(cls, name: str, holder: str) -> Self:
        """Answer what the CLI shows when a container name is taken."""
        return cls(
            f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )


class NotModified(EngineError):
    """The object is already in the wanted state (304, no body)."""


class Forbidden(EngineError):
    """The request is understood and refused."""


class Unavailable(EngineError):
    """Something outside is not reachable now; trying again may help."""


class Unsupported(EngineError):
    """The engine or this kernel cannot do it (501)."""


class DataLoss(EngineError):
    """Stored or received data is not what its digest says."""


class Internal(EngineError):
    """A fault of the engine itself."""


class StoreFailed(Internal):
    """The engine's database cannot be written: most often the disk is full."""


class StartFailed(EngineError):
    """A container's or exec's process could not be started.

    `exit_code` is what the container reports: 127 not found, 126 not executable, 128 the rest.
    """

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    @classmethod
    def because(cls, kind: str, detail: str, *, of_exec: bool) -> Self:
        """Word what stopped a process, so that the CLI exits with the right code.

        `kind` is the supervisor's: "not_found", "no_such_file" and "not_permitted" name a program
        in `detail`, "other" is a reason.
        """
        whole = (
            "OCI runtime exec failed: exec failed: unable to start container process: "
            if of_exec
            else "failed to create task for container: failed to create shim task: "
            "OCI runtime create failed: "
        )
        match kind:
            case "not_found":
                text, code = f'exec: "{detail}": executable file not found in $PATH', 127
            case "no_such_file":
                text, code = f'exec: "{detail}": stat {detail}: no such file or directory', 127
            case "not_permitted":
                text, code = f'exec: "{detail}": permission denied', 126
            case _ if of_exec:
                text, code = detail, 126
            case _:
                text, code = detail, 128
        return cls(f"{whole}{text}: unknown", code)
