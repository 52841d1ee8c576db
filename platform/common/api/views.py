"""Health and jobs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from redis.exceptions import RedisError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.serializers import HealthSerializer, JobListSerializer, JobSerializer
from common.models import Job
from engine.client.client import EngineClient, EngineRefused, EngineUnreachable

LATEST = 200


def _redis_answers() -> bool:
    try:
        cache.get("health")
    except (RedisError, OSError):
        return False
    return True


def _engine_answers() -> bool:
    try:
        with EngineClient(settings.ENGINE_SOCKET) as client:
            client.call("GET", "/version", seconds=3)
    except (EngineUnreachable, EngineRefused):
        return False
    return True


class HealthView(APIView):
    """Say whether the parts answer; open to everybody, tells nothing else."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses=HealthSerializer)
    def get(self, request: Request) -> Response:
        """Look at every part."""
        del request
        connection.ensure_connection()
        redis = _redis_answers()
        body = {"status": "ok" if redis else "degraded", "database": True, "redis": redis}
        return Response({**body, "engine": _engine_answers()})


def visible_jobs(request: Request) -> QuerySet[Job]:
    """Return the jobs that the user may see: all of them, or the user's own."""
    jobs = Job.objects.select_related("user")
    user: Any = request.user  # an accounts.User; accounts stands above this app
    return jobs if user.is_superuser else jobs.filter(user=user)


class JobListView(APIView):
    """The latest jobs."""

    @extend_schema(operation_id="jobs_list", responses=JobListSerializer)
    def get(self, request: Request) -> Response:
        """List."""
        jobs = visible_jobs(request)
        rows = JobSerializer(jobs[:LATEST], many=True).data
        return Response({"items": rows, "total": jobs.count()})


class JobView(APIView):
    """One job."""

    @extend_schema(responses=JobSerializer)
    def get(self, request: Request, pk: str) -> Response:
        """Show."""
        return Response(JobSerializer(get_object_or_404(visible_jobs(request), pk=pk)).data)
