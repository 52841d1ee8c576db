"""Shapes of containers and images."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers


class PortSerializer(serializers.Serializer[dict[str, Any]]):
    """One port of a container, published when `public` is set."""

    ip = serializers.CharField(allow_null=True)
    private = serializers.IntegerField()
    public = serializers.IntegerField(allow_null=True)
    type = serializers.CharField()


class ContainerSerializer(serializers.Serializer[dict[str, Any]]):
    """A row of the container table."""

    id = serializers.CharField()
    name = serializers.CharField()
    state = serializers.CharField()
    status = serializers.CharField()
    image = serializers.CharField()
    command = serializers.CharField()
    created = serializers.DateTimeField()
    stack = serializers.CharField(allow_null=True)
    ports = PortSerializer(many=True)
    labels = serializers.DictField(child=serializers.CharField())
    networks = serializers.ListField(child=serializers.CharField())


class ContainerListSerializer(serializers.Serializer[dict[str, Any]]):
    """Containers."""

    items = ContainerSerializer(many=True)
    total = serializers.IntegerField()


class PublishSerializer(serializers.Serializer[dict[str, Any]]):
    """A port to publish."""

    host_ip = serializers.IPAddressField(required=False, allow_blank=True)
    host_port = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=65535
    )
    container_port = serializers.IntegerField(min_value=1, max_value=65535)
    protocol = serializers.ChoiceField(choices=("tcp", "udp"), default="tcp")


class VolumeSerializer(serializers.Serializer[dict[str, Any]]):
    """A volume or a directory of the host to mount."""

    source = serializers.RegexField(  # type: ignore[assignment] # DRF's own name, unused here
        r"^[^:]+$", max_length=1000
    )
    target = serializers.RegexField(r"^/[^:]*$", max_length=1000)
    read_only = serializers.BooleanField(default=False)  # type: ignore[assignment]


class RestartPolicySerializer(serializers.Serializer[dict[str, Any]]):
    """When to start again by itself."""

    name = serializers.ChoiceField(choices=("no", "always", "on-failure", "unless-stopped"))
    maximum_retry_count = serializers.IntegerField(required=False, min_value=0)


class NewContainerSerializer(serializers.Serializer[dict[str, Any]]):
    """A container to create."""

    image = serializers.CharField(max_length=500)
    name = serializers.RegexField(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$", max_length=200, required=False)
    command = serializers.ListField(child=serializers.CharField(), required=False)
    entrypoint = serializers.ListField(child=serializers.CharField(), required=False)
    env = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    ports = PublishSerializer(many=True, required=False)
    volumes = VolumeSerializer(many=True, required=False)
    memory = serializers.IntegerField(required=False, allow_null=True, min_value=6 * 1024 * 1024)
    cpus = serializers.FloatField(required=False, allow_null=True, min_value=0.01)
    pids = serializers.IntegerField(required=False, allow_null=True, min_value=1)
    restart_policy = RestartPolicySerializer(required=False)
    tty = serializers.BooleanField(default=False)
    open_stdin = serializers.BooleanField(default=False)
    working_dir = serializers.CharField(required=False, allow_blank=True)
    user = serializers.CharField(required=False, allow_blank=True)
    hostname = serializers.CharField(required=False, allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    auto_remove = serializers.BooleanField(default=False)
    start = serializers.BooleanField(default=True)


class CreatedSerializer(serializers.Serializer[dict[str, Any]]):
    """What was created."""

    id = serializers.CharField()
    name = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())


class ImageSerializer(serializers.Serializer[dict[str, Any]]):
    """A row of the image table."""

    id = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    digests = serializers.ListField(child=serializers.CharField())
    size = serializers.IntegerField()
    created = serializers.DateTimeField()
    containers = serializers.IntegerField()


class ImageListSerializer(serializers.Serializer[dict[str, Any]]):
    """Images."""

    items = ImageSerializer(many=True)
    total = serializers.IntegerField()


class PullSerializer(serializers.Serializer[dict[str, Any]]):
    """An image to pull."""

    reference = serializers.CharField(max_length=500)


class RemovedImageSerializer(serializers.Serializer[dict[str, Any]]):
    """What went with an image."""

    deleted = serializers.ListField(child=serializers.CharField())
    untagged = serializers.ListField(child=serializers.CharField())


def container_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return our row for one of the engine's."""
    labels = row["Labels"] or {}
    return {
        "id": row["Id"],
        "name": row["Names"][0].removeprefix("/"),
        "state": row["State"],
        "status": row["Status"],
        "image": row["Image"],
        "command": row["Command"],
        "created": datetime.fromtimestamp(row["Created"], UTC),
        "stack": labels.get("com.docker.compose.project"),
        "ports": [
            {
                "ip": port.get("IP"),
                "private": port["PrivatePort"],
                "public": port.get("PublicPort"),
                "type": port["Type"],
            }
            for port in row["Ports"]
        ],
        "labels": labels,
        "networks": list((row["NetworkSettings"] or {}).get("Networks") or {}),
    }


def image_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return our row for one of the engine's."""
    return {
        "id": row["Id"],
        "tags": row["RepoTags"] or [],
        "digests": row["RepoDigests"] or [],
        "size": row["Size"],
        "created": datetime.fromtimestamp(row["Created"], UTC),
        "containers": max(row["Containers"], 0),
    }
