"""Containers and images of an environment: through the door, then one call."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.authentication import actor_of
from common.api.serializers import JobSerializer
from common.permissions import Permission
from environments.api.views import EnvironmentView
from environments.services import engine_of
from workloads import services
from workloads.api import serializers as shapes


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


class ContainerListView(EnvironmentView):
    """All containers."""

    @extend_schema(responses=shapes.ContainerListSerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """List."""
        environment = self.environment(request, Permission.CONTAINER_VIEW)
        with engine_of(environment) as engine:
            rows = [shapes.container_row(row) for row in engine.list_containers()]
        return Response({"items": rows, "total": len(rows)})

    @extend_schema(request=shapes.NewContainerSerializer, responses={201: shapes.CreatedSerializer})
    def post(self, request: Request, **_: Any) -> Response:
        """Create one, and start it unless told otherwise."""
        environment = self.environment(request, Permission.CONTAINER_CREATE)
        form = shapes.NewContainerSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        created = services.create_container(
            actor=actor_of(request), environment=environment, spec=form.validated_data
        )
        return Response(created, 201)


class ContainerView(EnvironmentView):
    """One container."""

    @extend_schema(responses=shapes.ContainerSerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """Show its row."""
        environment = self.environment(request, Permission.CONTAINER_VIEW)
        with engine_of(environment) as engine:
            wanted = engine.inspect_container(self.kwargs["ref"])["Id"]
            rows = [row for row in engine.list_containers() if row["Id"] == wanted]
        return Response(shapes.container_row(rows[0]))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, **_: Any) -> Response:
        """Remove it."""
        services.remove_container(
            actor=actor_of(request),
            environment=self.environment(request, Permission.CONTAINER_REMOVE),
            container_id=self.kwargs["ref"],
            force=_flag(request, "force"),
            volumes=_flag(request, "volumes"),
        )
        return Response(status=204)


class ContainerInspectView(EnvironmentView):
    """The engine's own description."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, **_: Any) -> Response:
        """Show it as it came."""
        environment = self.environment(request, Permission.CONTAINER_VIEW)
        with engine_of(environment) as engine:
            return Response(engine.inspect_container(self.kwargs["ref"]))


class ContainerVerbView(EnvironmentView):
    """start, stop, restart, kill."""

    get = None  # type: ignore[assignment]

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, **_: Any) -> Response:
        """Do it."""
        verb = self.kwargs["verb"]
        permission = services.VERBS.get(verb, Permission.CONTAINER_VIEW)
        services.act_on_container(
            actor=actor_of(request),
            environment=self.environment(request, permission),
            container_id=self.kwargs["ref"],
            verb=verb,
        )
        return Response(status=204)


class ImageListView(EnvironmentView):
    """All images."""

    @extend_schema(responses=shapes.ImageListSerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """List."""
        environment = self.environment(request, Permission.IMAGE_VIEW)
        with engine_of(environment) as engine:
            rows = [shapes.image_row(row) for row in engine.list_images()]
        return Response({"items": rows, "total": len(rows)})


class ImagePullView(EnvironmentView):
    """Pulls."""

    get = None  # type: ignore[assignment]

    @extend_schema(request=shapes.PullSerializer, responses={202: JobSerializer})
    def post(self, request: Request, **_: Any) -> Response:
        """Begin one; the answer is its job."""
        environment = self.environment(request, Permission.IMAGE_PULL)
        form = shapes.PullSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        job = services.pull_image(
            actor=actor_of(request),
            environment=environment,
            reference=form.validated_data["reference"],
        )
        return Response(JobSerializer(job).data, 202)


class ImageView(EnvironmentView):
    """One image."""

    get = None  # type: ignore[assignment]

    @extend_schema(responses=shapes.RemovedImageSerializer)
    def delete(self, request: Request, **_: Any) -> Response:
        """Remove it."""
        removed = services.remove_image(
            actor=actor_of(request),
            environment=self.environment(request, Permission.IMAGE_REMOVE),
            reference=self.kwargs["ref"],
            force=_flag(request, "force"),
        )
        return Response(removed)
