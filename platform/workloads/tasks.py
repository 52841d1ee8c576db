"""Long work on images, run by the worker."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from audit.services import Actor
from common.errors import AppError
from common.jobs import CANCELLED, Progress, begin, finish
from common.models import Job
from engine.client.client import EngineClient, EngineRefused, EngineUnreachable
from environments.models import Environment
from workloads import services

_STATES = {
    "Pulling fs layer": "waiting",
    "Downloading": "downloading",
    "Verifying Checksum": "verifying",
    "Download complete": "verifying",
    "Extracting": "extracting",
    "Pull complete": "done",
    "Already exists": "exists",
}


@shared_task(name="workloads.tasks.pull")  # type: ignore[untyped-decorator]
def pull(*, job_id: str, **_: object) -> None:
    """Pull the job's image; a second run of a lost worker's job begins again, and finds blobs."""
    job = begin(job_id)
    if job is None:
        return
    environment = Environment.objects.get(name=job.environment)
    reference = job.result["reference"]
    progress = Progress(job)
    layers: dict[str, dict[str, Any]] = {}
    digest = ""
    try:
        with EngineClient(environment.socket) as engine:
            for message in engine.pull_image(reference):
                digest = digest_in(message) or digest
                if take(layers, message):
                    progress.update(summary(layers))
    except CANCELLED:
        finish(job, Job.State.CANCELLED, reference=reference)
        return
    except (EngineRefused, EngineUnreachable) as error:
        finish(job, Job.State.FAILED, error=str(error), reference=reference)
        return
    job.progress = summary(layers)
    finish(job, Job.State.SUCCEEDED, reference=reference, digest=digest)


@shared_task(name="workloads.tasks.bulk")  # type: ignore[untyped-decorator]
def bulk(*, job_id: str, **_: object) -> None:
    """Act on many containers, one after the other; what fails is told and does not stop it."""
    job = begin(job_id)
    if job is None:
        return
    environment = Environment.objects.get(name=job.environment)
    wish = job.result
    actor = Actor(job.user, job.user.username if job.user else "", wish["address"])
    progress = Progress(job)
    rows = [{"id": one, "state": "waiting", "error": ""} for one in wish["ids"]]
    try:
        for done, row in enumerate(rows):
            progress.update({"items": rows, "current": done, "total": len(rows)})
            try:
                _act(actor, environment, wish["verb"], row["id"])
                row["state"] = "done"
            except AppError as error:
                row["state"], row["error"] = "failed", error.message
    except CANCELLED:
        finish(job, Job.State.CANCELLED, **wish)
        return
    job.progress = {"items": rows, "current": len(rows), "total": len(rows)}
    failed = [row for row in rows if row["state"] == "failed"]
    if failed:
        told = f"{len(failed)} of {len(rows)} failed. {failed[0]['error']}"
        finish(job, Job.State.FAILED, error=told, **wish)
    else:
        finish(job, Job.State.SUCCEEDED, **wish)


def _act(actor: Actor, environment: Environment, verb: str, container_id: str) -> None:
    if verb == "remove":
        services.remove_container(
            actor=actor,
            environment=environment,
            container_id=container_id,
            force=True,
            volumes=False,
        )
    else:
        services.act_on_container(
            actor=actor, environment=environment, container_id=container_id, verb=verb
        )


def digest_in(message: dict[str, Any]) -> str:
    """Return the digest that a line of progress tells, if it does."""
    status = str(message.get("status", ""))
    return status.removeprefix("Digest: ") if status.startswith("Digest: ") else ""


def take(layers: dict[str, dict[str, Any]], message: dict[str, Any]) -> bool:
    """Put one line of the engine's progress into `layers`; False when it is about no layer."""
    state = _STATES.get(str(message.get("status")))
    if state is None or "id" not in message:
        return False
    layer = layers.setdefault(
        message["id"], {"id": message["id"], "status": state, "current": 0, "total": 0}
    )
    layer["status"] = state
    detail = message.get("progressDetail") or {}
    if detail.get("total"):
        layer["current"], layer["total"] = detail.get("current", 0), detail["total"]
    return True


def summary(layers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a job's progress: every layer, and the bytes of all."""
    rows = list(layers.values())
    return {
        "layers": rows,
        "current": sum(row["current"] for row in rows),
        "total": sum(row["total"] for row in rows),
    }
