"""The dashboard's summary of one environment."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework import serializers

from audit.api.views import EntrySerializer
from audit.models import Entry
from environments.models import Environment
from environments.services import engine_of
from workloads.api.serializers import container_row

if TYPE_CHECKING:
    from engine.client.client import EngineClient

SHOWN = 8  # rows of a panel


class DiskSerializer(serializers.Serializer[dict[str, Any]]):
    """Bytes; used and total are null where the engine's disk cannot be seen."""

    used = serializers.IntegerField(allow_null=True)
    total = serializers.IntegerField(allow_null=True)
    images_bytes = serializers.IntegerField()


class AttentionSerializer(serializers.Serializer[dict[str, Any]]):
    """A container that somebody should look at, and why."""

    id = serializers.CharField()
    container = serializers.CharField()
    state = serializers.CharField()
    health = serializers.CharField(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)


class SummarySerializer(serializers.Serializer[dict[str, Any]]):
    """What the dashboard shows; `containers` counts by state."""

    containers = serializers.DictField(child=serializers.IntegerField())
    running = serializers.ListField(child=serializers.CharField())
    images = serializers.IntegerField()
    cpus = serializers.IntegerField()
    memory = serializers.IntegerField()
    disk = DiskSerializer()
    attention = AttentionSerializer(many=True)
    activity = EntrySerializer(many=True)


def summary(environment: Environment) -> dict[str, Any]:
    """Return it from the engine and the audit trail."""
    with engine_of(environment) as engine:
        rows = [container_row(row) for row in engine.list_containers()]
        images = engine.list_images()
        info = engine.call("GET", "/info")
        attention = _attention(engine, rows)
    counts: dict[str, int] = {}
    for row in rows:
        counts[_group(row)] = counts.get(_group(row), 0) + 1
    used = total = None
    if environment.kind == Environment.Kind.LOCAL:
        space = shutil.disk_usage(settings.DATA)
        used, total = space.used, space.total
    latest = Entry.objects.filter(environment=environment.name)[:SHOWN]
    return {
        "containers": counts,
        "running": [row["id"] for row in rows if row["state"] == "running"],
        "images": len(images),
        "cpus": info["NCPU"],
        "memory": info["MemTotal"],
        "disk": {
            "used": used,
            "total": total,
            "images_bytes": sum(image["Size"] for image in images),
        },
        "attention": attention,
        "activity": EntrySerializer(latest, many=True).data,
    }


def _group(row: dict[str, Any]) -> str:
    if row["state"] == "running" and row["health"] == "unhealthy":
        return "unhealthy"
    if row["state"] == "exited" and row["exit_code"]:
        return "failed"
    return str(row["state"])


def _attention(engine: EngineClient, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wrong = [row for row in rows if _group(row) in ("unhealthy", "failed", "restarting", "dead")]
    found = []
    for row in wrong[:SHOWN]:
        state = engine.inspect_container(row["id"])["State"]
        finished = state["FinishedAt"]
        since = finished if row["state"] == "exited" else state["StartedAt"]
        found.append(
            {
                "id": row["id"],
                "container": row["name"],
                "state": row["state"],
                "health": row["health"],
                "exit_code": row["exit_code"],
                "reason": _reason(row, state),
                "since": None if since.startswith("0001-") else since,
            }
        )
    return found


def _reason(row: dict[str, Any], state: dict[str, Any]) -> str:
    if state["OOMKilled"]:
        return "Killed: out of memory"
    if state.get("Error"):
        return str(state["Error"])
    if row["health"] == "unhealthy":
        return "Its health check fails"
    if row["exit_code"] is None:
        return "Cannot be removed" if row["state"] == "dead" else "Starts again and again"
    return f"Exited with code {row['exit_code']}"
