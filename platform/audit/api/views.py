"""Who did what."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.models import Entry

LATEST = 200


class EntrySerializer(serializers.ModelSerializer[Entry]):
    """One act."""

    class Meta:
        """Everything but the row's link to the user."""

        model = Entry
        fields = (
            "id",
            "time",
            "actor",
            "permission",
            "environment",
            "target",
            "result",
            "address",
        )


class EntryListSerializer(serializers.Serializer[dict[str, object]]):
    """Acts, newest first."""

    items = EntrySerializer(many=True)
    total = serializers.IntegerField()


class ActivityView(APIView):
    """The audit trail: all of it for administrators, their own acts for others."""

    @extend_schema(responses=EntryListSerializer)
    def get(self, request: Request) -> Response:
        """List the latest."""
        user: Any = request.user  # an accounts.User; accounts stands above this app
        entries = Entry.objects.all() if user.is_superuser else Entry.objects.filter(user=user)
        rows = EntrySerializer(entries[:LATEST], many=True).data
        return Response({"items": rows, "total": entries.count()})
