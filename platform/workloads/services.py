"""Acts on containers and images: each goes to the engine and into the audit trail."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import transaction

from audit.services import Actor, record
from common.errors import AppError, Missing
from common.jobs import cancel, enqueue
from common.models import Job
from common.permissions import Permission
from environments.services import engine_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from environments.models import Environment

VERBS = {
    "start": Permission.CONTAINER_START,
    "stop": Permission.CONTAINER_STOP,
    "restart": Permission.CONTAINER_RESTART,
    "kill": Permission.CONTAINER_KILL,
}


@contextmanager
def _audited(
    actor: Actor, environment: Environment, permission: Permission, target: str
) -> Iterator[None]:
    """Write the act down with its result, also when the engine refused it."""
    try:
        yield
    except AppError as error:
        _record(actor, environment, permission, target, "refused", reason=error.message)
        raise
    _record(actor, environment, permission, target, "ok")


def _record(
    actor: Actor,
    environment: Environment,
    permission: Permission,
    target: str,
    result: str,
    **detail: object,
) -> None:
    record(
        actor=actor,
        permission=permission,
        target=target,
        environment=environment.name,
        result=result,
        **detail,
    )


def act_on_container(
    *, actor: Actor, environment: Environment, container_id: str, verb: str
) -> None:
    """Start, stop, restart or kill. Raises: Missing(no such verb) · the engine's refusals."""
    if verb not in VERBS:
        raise Missing(f"Containers have no verb {verb}.")
    with _audited(actor, environment, VERBS[verb], container_id), engine_of(environment) as engine:
        engine.act_on_container(container_id, verb)


def remove_container(
    *, actor: Actor, environment: Environment, container_id: str, force: bool, volumes: bool
) -> None:
    """Remove a container."""
    with (
        _audited(actor, environment, Permission.CONTAINER_REMOVE, container_id),
        engine_of(environment) as engine,
    ):
        engine.remove_container(container_id, force=force, volumes=volumes)


def create_container(
    *, actor: Actor, environment: Environment, spec: dict[str, Any]
) -> dict[str, Any]:
    """Create a container and start it when asked to; return id, name and warnings."""
    target = spec.get("name") or spec["image"]
    with (
        _audited(actor, environment, Permission.CONTAINER_CREATE, target),
        engine_of(environment) as engine,
    ):
        created = engine.create_container(spec.get("name"), engine_body(spec))
        if spec["start"]:
            engine.act_on_container(created["Id"], "start")
        name = engine.inspect_container(created["Id"])["Name"].removeprefix("/")
    return {"id": created["Id"], "name": name, "warnings": created["Warnings"]}


def engine_body(spec: dict[str, Any]) -> dict[str, Any]:
    """Return Docker's create request for what the form says."""
    ports: dict[str, list[dict[str, str]]] = {}
    for port in spec.get("ports") or ():
        key = f"{port['container_port']}/{port['protocol']}"
        host_port = str(port["host_port"]) if port.get("host_port") else ""
        binding = {"HostIp": port.get("host_ip") or "", "HostPort": host_port}
        ports.setdefault(key, []).append(binding)
    policy = spec.get("restart_policy") or {}
    host = {
        "Binds": [
            f"{item['source']}:{item['target']}{':ro' if item['read_only'] else ''}"
            for item in spec.get("volumes") or ()
        ],
        "PortBindings": ports,
        "Memory": spec.get("memory") or 0,
        "NanoCpus": int((spec.get("cpus") or 0) * 1_000_000_000),
        "PidsLimit": spec.get("pids"),
        "AutoRemove": spec["auto_remove"],
        "RestartPolicy": {
            "Name": policy.get("name") or "no",
            "MaximumRetryCount": policy.get("maximum_retry_count") or 0,
        },
    }
    return {
        "Image": spec["image"],
        "Cmd": spec.get("command") or None,
        "Entrypoint": spec.get("entrypoint") or None,
        "Env": [f"{key}={value}" for key, value in (spec.get("env") or {}).items()],
        "ExposedPorts": {key: {} for key in ports},
        "Labels": spec.get("labels") or {},
        "Tty": spec["tty"],
        "OpenStdin": spec["open_stdin"],
        "WorkingDir": spec.get("working_dir") or "",
        "User": spec.get("user") or "",
        "Hostname": spec.get("hostname") or "",
        "HostConfig": host,
    }


def record_console(
    *, actor: Actor, environment: Environment, container_id: str, command: str, result: str
) -> None:
    """Write down that somebody opened a console."""
    _record(actor, environment, Permission.CONTAINER_CONSOLE, container_id, result, command=command)


def remove_image(
    *, actor: Actor, environment: Environment, reference: str, force: bool
) -> dict[str, list[str]]:
    """Remove an image; return what was deleted and untagged."""
    with (
        _audited(actor, environment, Permission.IMAGE_REMOVE, reference),
        engine_of(environment) as engine,
    ):
        rows = engine.remove_image(reference, force=force)
    return {
        "deleted": [row["Deleted"] for row in rows if "Deleted" in row],
        "untagged": [row["Untagged"] for row in rows if "Untagged" in row],
    }


BULK_VERBS = {**VERBS, "remove": Permission.CONTAINER_REMOVE}


@transaction.atomic
def act_on_containers(
    *, actor: Actor, environment: Environment, verb: str, container_ids: list[str]
) -> Job:
    """Begin one verb on many containers; the job has a result for each."""
    verbs = {"start": "Start", "stop": "Stop", "restart": "Restart", "kill": "Kill"}
    count = len(container_ids)
    job = Job.objects.create(
        kind="containers.bulk",
        title=f"{verbs.get(verb, 'Remove')} {count} container{'' if count == 1 else 's'}",
        environment=environment.name,
        user=actor.user,
        result={"verb": verb, "ids": container_ids, "address": actor.address},
    )
    enqueue("workloads.tasks.bulk", job)
    return job


def cancel_job(*, actor: Actor, job: Job) -> None:
    """Ask for a job's end. Raises: Conflict(it is over)."""
    cancel(job)
    record(
        actor=actor,
        permission=Permission.JOB_CANCEL,
        target=job.title,
        environment=job.environment,
        job=str(job.pk),
    )


@transaction.atomic
def pull_image(*, actor: Actor, environment: Environment, reference: str) -> Job:
    """Begin a pull; the job tells how it goes."""
    job = Job.objects.create(
        kind="image.pull",
        title=f"Pull {reference}",
        environment=environment.name,
        user=actor.user,
        result={"reference": reference},
    )
    _record(actor, environment, Permission.IMAGE_PULL, reference, "ok", job=str(job.pk))
    enqueue("workloads.tasks.pull", job)
    return job
