"""Environments."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import user_of
from common.errors import AppError
from common.permissions import Permission
from environments.models import Environment
from environments.services import engine_of, ensure_local, get_environment


class CountsSerializer(serializers.Serializer[dict[str, int]]):
    """Containers by state."""

    total = serializers.IntegerField()
    running = serializers.IntegerField()
    paused = serializers.IntegerField()
    stopped = serializers.IntegerField()


class EnvironmentSerializer(serializers.Serializer[dict[str, object]]):
    """One environment with its engine's figures, null while it does not answer."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()
    engine_version = serializers.CharField()
    containers = CountsSerializer(allow_null=True)
    images = serializers.IntegerField(allow_null=True)
    cpus = serializers.IntegerField(allow_null=True)
    memory = serializers.IntegerField(allow_null=True)
    last_seen = serializers.DateTimeField(allow_null=True)


class EnvironmentListSerializer(serializers.Serializer[dict[str, object]]):
    """Every environment."""

    items = EnvironmentSerializer(many=True)
    total = serializers.IntegerField()


def _row(environment: Environment) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": environment.pk,
        "name": environment.name,
        "kind": environment.kind,
        "status": Environment.Status.UP,
        "engine_version": environment.engine_version,
        "containers": None,
        "images": None,
        "cpus": None,
        "memory": None,
        "last_seen": environment.last_seen,
    }
    try:
        with engine_of(environment) as engine:
            info = engine.call("GET", "/info", seconds=5)
    except AppError:
        return {**row, "status": Environment.Status.DOWN}
    containers = {
        "total": info["Containers"],
        "running": info["ContainersRunning"],
        "paused": info["ContainersPaused"],
        "stopped": info["ContainersStopped"],
    }
    return {
        **row,
        "engine_version": info["ServerVersion"],
        "containers": containers,
        "images": info["Images"],
        "cpus": info["NCPU"],
        "memory": info["MemTotal"],
    }


class InEnvironment(APIView):
    """The base of every view below one environment."""

    def environment(self, request: Request, permission: Permission) -> Environment:
        """Go through the door with what this request is about."""
        reference = self.kwargs["environment"]
        return get_environment(user=user_of(request), reference=reference, permission=permission)


class EnvironmentView(InEnvironment):
    """One environment."""

    @extend_schema(responses=EnvironmentSerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """Show it."""
        return Response(_row(self.environment(request, Permission.ENVIRONMENT_VIEW)))


class EnvironmentListView(APIView):
    """Every environment that the user may see."""

    @extend_schema(operation_id="environments_list", responses=EnvironmentListSerializer)
    def get(self, request: Request) -> Response:
        """List."""
        ensure_local()
        found = Environment.objects.order_by("name") if user_of(request).is_superuser else ()
        rows = [_row(environment) for environment in found]
        return Response({"items": rows, "total": len(rows)})
