"""Shapes that every app's API shares."""

from __future__ import annotations

from rest_framework import serializers

from common.models import Job


class HealthSerializer(serializers.Serializer[dict[str, object]]):
    """Whether each part answers."""

    status = serializers.CharField()
    database = serializers.BooleanField()
    redis = serializers.BooleanField()
    engine = serializers.BooleanField()


class JobSerializer(serializers.ModelSerializer[Job]):
    """One job."""

    user = serializers.CharField(source="user.username", default=None, read_only=True)
    progress = serializers.DictField(read_only=True)
    result = serializers.DictField(read_only=True)

    class Meta:
        """Every field that is for people."""

        model = Job
        fields = (
            "id",
            "kind",
            "title",
            "state",
            "progress",
            "result",
            "error",
            "environment",
            "user",
            "created",
            "started",
            "finished",
        )


class JobListSerializer(serializers.Serializer[dict[str, object]]):
    """Jobs, newest first."""

    items = JobSerializer(many=True)
    total = serializers.IntegerField()
