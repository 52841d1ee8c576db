"""Who did what."""

from __future__ import annotations

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
    """The audit trail."""

    @extend_schema(responses=EntryListSerializer)
    def get(self, request: Request) -> Response:
        """List the latest."""
        del request
        rows = EntrySerializer(Entry.objects.all()[:LATEST], many=True).data
        return Response({"items": rows, "total": Entry.objects.count()})
