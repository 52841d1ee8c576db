"""Containers and images of an environment: through the door, then one call."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import actor_of
from common.api.serializers import JobSerializer
from common.api.views import visible_jobs
from common.errors import Missing
from common.permissions import Permission
from environments.api.views import InEnvironment
from environments.services import engine_of
from workloads import services
from workloads.api import serializers as shapes
from workloads.api import summaries

FORCE = OpenApiParameter("force", bool)
VOLUMES = OpenApiParameter("volumes", bool)


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


class ContainerListView(InEnvironment):
    """All containers."""

    @extend_schema(operation_id="containers_list", responses=shapes.ContainerListSerializer)
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


class ContainerView(InEnvironment):
    """One container."""

    @extend_schema(responses=shapes.ContainerDetailSerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """Show it with its details."""
        environment = self.environment(request, Permission.CONTAINER_VIEW)
        with engine_of(environment) as engine:
            full = engine.inspect_container(self.kwargs["ref"])
            rows = engine.list_containers(full["Id"])
        if not rows:  # removed between the two questions
            raise Missing(f"No such container: {self.kwargs['ref']}")
        return Response(shapes.container_detail(rows[0], full))

    @extend_schema(parameters=[FORCE, VOLUMES], responses={204: None})
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


class ContainerInspectView(InEnvironment):
    """The engine's own description."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, **_: Any) -> Response:
        """Show it as it came."""
        environment = self.environment(request, Permission.CONTAINER_VIEW)
        with engine_of(environment) as engine:
            return Response(engine.inspect_container(self.kwargs["ref"]))


class ContainerBulkView(InEnvironment):
    """One verb on many containers."""

    @extend_schema(request=shapes.BulkSerializer, responses={202: JobSerializer})
    def post(self, request: Request, **_: Any) -> Response:
        """Begin it; the answer is its job."""
        self.environment(request, Permission.CONTAINER_VIEW)  # before anything is said of the body
        form = shapes.BulkSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        verb = form.validated_data["verb"]
        job = services.act_on_containers(
            actor=actor_of(request),
            environment=self.environment(request, services.BULK_VERBS[verb]),
            verb=verb,
            container_ids=form.validated_data["ids"],
        )
        return Response(JobSerializer(job).data, 202)


class SummaryView(InEnvironment):
    """What the dashboard shows."""

    @extend_schema(responses=summaries.SummarySerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """Show it."""
        environment = self.environment(request, Permission.ENVIRONMENT_VIEW)
        return Response(summaries.summary(environment))


class ContainerVerbView(InEnvironment):
    """start, stop, restart, kill."""

    @extend_schema(operation_id="containers_act", request=None, responses={204: None})
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


class ImageListView(InEnvironment):
    """All images."""

    @extend_schema(operation_id="images_list", responses=shapes.ImageListSerializer)
    def get(self, request: Request, **_: Any) -> Response:
        """List."""
        environment = self.environment(request, Permission.IMAGE_VIEW)
        with engine_of(environment) as engine:
            rows = [shapes.image_row(row) for row in engine.list_images()]
        return Response({"items": rows, "total": len(rows)})


class ImagePullView(InEnvironment):
    """Pulls."""

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


class ImageView(InEnvironment):
    """One image."""

    @extend_schema(parameters=[FORCE], responses=shapes.RemovedImageSerializer)
    def delete(self, request: Request, **_: Any) -> Response:
        """Remove it."""
        removed = services.remove_image(
            actor=actor_of(request),
            environment=self.environment(request, Permission.IMAGE_REMOVE),
            reference=self.kwargs["ref"],
            force=_flag(request, "force"),
        )
        return Response(removed)


class JobCancelView(APIView):
    """A job's early end."""

    @extend_schema(request=None, responses={202: JobSerializer})
    def post(self, request: Request, pk: str) -> Response:
        """Ask for it."""
        job = get_object_or_404(visible_jobs(request), pk=pk)
        services.cancel_job(actor=actor_of(request), job=job)
        return Response(JobSerializer(job).data, 202)
