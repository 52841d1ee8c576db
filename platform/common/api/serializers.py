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


class LayerSerializer(serializers.Serializer[dict[str, object]]):
    """One layer of a pull, in bytes."""

    id = serializers.CharField()
    status = serializers.ChoiceField(
        choices=("waiting", "downloading", "verifying", "extracting", "done", "exists")
    )
    current = serializers.IntegerField()
    total = serializers.IntegerField()


class ItemSerializer(serializers.Serializer[dict[str, object]]):
    """One object of a job on many."""

    id = serializers.CharField()
    state = serializers.ChoiceField(choices=("waiting", "done", "failed"))
    error = serializers.CharField()


class ProgressSerializer(serializers.Serializer[dict[str, object]]):
    """How far a job is: bytes for a pull with its layers, objects for a job on many."""

    layers = LayerSerializer(many=True, required=False)
    items = ItemSerializer(many=True, required=False)
    current = serializers.IntegerField(required=False)
    total = serializers.IntegerField(required=False)


class JobSerializer(serializers.ModelSerializer[Job]):
    """One job."""

    user = serializers.CharField(source="user.username", default=None, read_only=True)
    progress = ProgressSerializer(read_only=True)
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
        read_only_fields = fields


class JobListSerializer(serializers.Serializer[dict[str, object]]):
    """Jobs, newest first."""

    items = JobSerializer(many=True)
    total = serializers.IntegerField()
