"""Shapes of containers and images."""

from __future__ import annotations

import re
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
    exit_code = serializers.IntegerField(allow_null=True)
    health = serializers.CharField(allow_null=True)
    image = serializers.CharField()
    command = serializers.CharField()
    created = serializers.DateTimeField()
    stack = serializers.CharField(allow_null=True)
    ports = PortSerializer(many=True)
    labels = serializers.DictField(child=serializers.CharField())
    networks = serializers.ListField(child=serializers.CharField())


class EnvironmentVariableSerializer(serializers.Serializer[dict[str, Any]]):
    """One variable; the value of one that looks like a secret is not told."""

    name = serializers.CharField()
    value = serializers.CharField(allow_null=True)
    secret = serializers.BooleanField()


class MountSerializer(serializers.Serializer[dict[str, Any]]):
    """One mount."""

    type = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment] # DRF's own name, unused here
    target = serializers.CharField()
    read_only = serializers.BooleanField()  # type: ignore[assignment]


class EndpointSerializer(serializers.Serializer[dict[str, Any]]):
    """The container's place in one network."""

    name = serializers.CharField()
    address = serializers.CharField()
    gateway = serializers.CharField()
    mac = serializers.CharField()


class LimitsSerializer(serializers.Serializer[dict[str, Any]]):
    """What the container may use; null is no limit."""

    memory = serializers.IntegerField(allow_null=True)
    cpus = serializers.FloatField(allow_null=True)
    pids = serializers.IntegerField(allow_null=True)


class StateDetailSerializer(serializers.Serializer[dict[str, Any]]):
    """How it is, and how it came to be so."""

    started = serializers.DateTimeField(allow_null=True)
    finished = serializers.DateTimeField(allow_null=True)
    exit_code = serializers.IntegerField()
    oom_killed = serializers.BooleanField()
    error = serializers.CharField()
    restarts = serializers.IntegerField()


class PolicySerializer(serializers.Serializer[dict[str, Any]]):
    """When it starts again by itself."""

    name = serializers.CharField()
    maximum_retry_count = serializers.IntegerField()


class ContainerDetailSerializer(ContainerSerializer):
    """Everything that the page of one container shows."""

    image_id = serializers.CharField()
    arguments = serializers.ListField(child=serializers.CharField())
    entrypoint = serializers.ListField(child=serializers.CharField())
    working_dir = serializers.CharField()
    user = serializers.CharField()
    hostname = serializers.CharField()
    tty = serializers.BooleanField()
    env = EnvironmentVariableSerializer(many=True)
    mounts = MountSerializer(many=True)
    endpoints = EndpointSerializer(many=True)
    limits = LimitsSerializer()
    restart_policy = PolicySerializer()
    detail = StateDetailSerializer()
    log_driver = serializers.CharField()


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


class BulkSerializer(serializers.Serializer[dict[str, Any]]):
    """One verb for many containers."""

    verb = serializers.ChoiceField(choices=("start", "stop", "restart", "kill", "remove"))
    ids = serializers.ListField(
        child=serializers.CharField(max_length=128), min_length=1, max_length=10_000
    )


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


def _exit_code(status: str) -> int | None:
    """Return the code that the engine's sentence tells: "Exited (137) 3 minutes ago"."""
    found = re.match(r"(?:Exited|Restarting) \((-?\d+)\)", status)
    return int(found[1]) if found else None


def _health(status: str) -> str | None:
    """Return what the sentence tells of the health check: "Up 3 minutes (healthy)"."""
    found = re.search(r"\((?:health: )?(healthy|unhealthy|starting)\)", status)
    return found[1] if found else None


def container_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return our row for one of the engine's."""
    labels = row["Labels"] or {}
    return {
        "id": row["Id"],
        "name": row["Names"][0].removeprefix("/"),
        "state": row["State"],
        "status": row["Status"],
        "exit_code": _exit_code(row["Status"]),
        "health": _health(row["Status"]),
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


_SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)


def _moment(text: str) -> str | None:
    return None if not text or text.startswith("0001-") else text


def container_detail(row: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """Return the page's content from the engine's row and its full description."""
    config, host, state = full["Config"], full["HostConfig"], full["State"]
    pairs = [text.partition("=") for text in config.get("Env") or ()]
    cpus = (host.get("NanoCpus") or 0) / 1_000_000_000
    if not cpus and host.get("CpuQuota") and host.get("CpuPeriod"):
        cpus = host["CpuQuota"] / host["CpuPeriod"]
    pids = host.get("PidsLimit") or 0
    policy = host.get("RestartPolicy") or {}
    return {
        **container_row(row),
        "image_id": full["Image"],
        "arguments": config.get("Cmd") or [],
        "entrypoint": config.get("Entrypoint") or [],
        "working_dir": config.get("WorkingDir") or "",
        "user": config.get("User") or "",
        "hostname": config.get("Hostname") or "",
        "tty": bool(config.get("Tty")),
        "env": [
            {
                "name": name,
                "value": None if _SECRET.search(name) else value,
                "secret": bool(_SECRET.search(name)),
            }
            for name, _, value in pairs
        ],
        "mounts": [
            {
                "type": mount["Type"],
                "source": mount.get("Name") or mount.get("Source") or "",
                "target": mount["Destination"],
                "read_only": not mount["RW"],
            }
            for mount in full.get("Mounts") or ()
        ],
        "endpoints": [
            {
                "name": name,
                "address": network.get("IPAddress") or "",
                "gateway": network.get("Gateway") or "",
                "mac": network.get("MacAddress") or "",
            }
            for name, network in (full["NetworkSettings"].get("Networks") or {}).items()
        ],
        "limits": {
            "memory": host.get("Memory") or None,
            "cpus": cpus or None,
            "pids": pids if pids > 0 else None,
        },
        "restart_policy": {
            "name": policy.get("Name") or "no",
            "maximum_retry_count": policy.get("MaximumRetryCount") or 0,
        },
        "detail": {
            "started": _moment(state["StartedAt"]),
            "finished": _moment(state["FinishedAt"]),
            "exit_code": state["ExitCode"],
            "oom_killed": state["OOMKilled"],
            "error": state.get("Error") or "",
            "restarts": full.get("RestartCount") or 0,
        },
        "log_driver": (host.get("LogConfig") or {}).get("Type") or "",
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
