"""The one vocabulary of what may be done: for access, audit and events."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """A verb on a noun."""

    ENVIRONMENT_VIEW = "environment.view"
    CONTAINER_VIEW = "container.view"
    CONTAINER_CREATE = "container.create"
    CONTAINER_START = "container.start"
    CONTAINER_STOP = "container.stop"
    CONTAINER_RESTART = "container.restart"
    CONTAINER_KILL = "container.kill"
    CONTAINER_REMOVE = "container.remove"
    CONTAINER_CONSOLE = "container.console"
    IMAGE_VIEW = "image.view"
    IMAGE_PULL = "image.pull"
    IMAGE_REMOVE = "image.remove"
    JOB_CANCEL = "job.cancel"
    SESSION_CREATE = "session.create"
    SESSION_REMOVE = "session.remove"
    SETUP_COMPLETE = "setup.complete"
    TOKEN_CREATE = "token.create"  # noqa: S105 - a permission's name
    TOKEN_REMOVE = "token.remove"  # noqa: S105 - a permission's name
