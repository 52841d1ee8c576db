"""Dockerfile instructions that change an image's config, as commit and import take them."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from engine.core.errors import InvalidArgument

_KNOWN = frozenset(
    "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD SHELL STOPSIGNAL USER VOLUME "
    "WORKDIR".split()
)
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def apply_instructions(config: dict[str, Any], lines: list[str]) -> dict[str, Any]:
    """Return the config with every instruction applied. Raises: InvalidArgument."""
    config = json.loads(json.dumps(config))
    for text in lines:
        for line in filter(None, map(str.strip, text.splitlines())):
            word, _, rest = line.partition(" ")
            _apply(config, word.upper(), rest.strip())
    return config


def _apply(config: dict[str, Any], word: str, rest: str) -> None:
    if word not in _KNOWN:
        raise InvalidArgument(f"{word} is not a valid change command")
    if not rest:
        raise InvalidArgument(f"{word} requires at least one argument")
    match word:
        case "CMD" | "ENTRYPOINT":
            config["Cmd" if word == "CMD" else "Entrypoint"] = _command(config, rest)
            if word == "ENTRYPOINT":
                config["Cmd"] = None
        case "ENV":
            pairs = _pairs(word, rest)
            kept = [item for item in config.get("Env") or () if item.partition("=")[0] not in pairs]
            config["Env"] = kept + [f"{key}={value}" for key, value in pairs.items()]
        case "LABEL":
            config["Labels"] = {**(config.get("Labels") or {}), **_pairs(word, rest)}
        case "EXPOSE":
            ports: dict[str, Any] = {
                port if "/" in port else f"{port}/tcp": {} for port in rest.split()
            }
            for port in ports:
                if not re.fullmatch(r"\d+(-\d+)?/(tcp|udp|sctp)", port):
                    raise InvalidArgument(f"invalid containerPort: {port.partition('/')[0]}")
            config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **ports}
        case "VOLUME":
            paths = _array(rest) or rest.split()
            config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}
        case "ONBUILD":
            config["OnBuild"] = [*(config.get("OnBuild") or ()), rest]
        case "SHELL":
            config["Shell"] = _array(rest)
            if not config["Shell"]:
                raise InvalidArgument("SHELL requires the arguments to be in JSON form")
        case "HEALTHCHECK":
            config["Healthcheck"] = _health(rest)
        case "WORKDIR":
            base = config.get("WorkingDir") or "/"
            config["WorkingDir"] = rest if rest.startswith("/") else f"{base.rstrip('/')}/{rest}"
        case _:
            config["User" if word == "USER" else "StopSignal"] = rest


def _array(text: str) -> list[str] | None:
    """Return a JSON array of strings, None when the text is not one."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    is_array = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if is_array else None


def _command(config: dict[str, Any], text: str) -> list[str]:
    found = _array(text)
    return found if found is not None else [*(config.get("Shell") or ["/bin/sh", "-c"]), text]


def _pairs(word: str, text: str) -> dict[str, str]:
    if "=" not in text.split()[0]:
        key, _, value = text.partition(" ")
        if not value:
            raise InvalidArgument(f"{word} must have two arguments")
        return {key: value.strip()}
    result = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"{word}: {error}") from error
    for item in words:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise InvalidArgument(
                f'Syntax error - can\'t find = in "{item}". Must be of the form: name=value'
            )
        result[key] = value
    return result


def _health(text: str) -> dict[str, Any]:
    check: dict[str, Any] = {}
    names = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start-period": "StartPeriod",
        "start-interval": "StartInterval",
        "retries": "Retries",
    }
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", text):
        if match[1] not in names:
            raise InvalidArgument(f"Unknown flag: {match[1]}")
        value = int(match[2]) if match[1] == "retries" else _duration(match[2])
        check[names[match[1]]] = value
        text = text[match.end() :]
    word, _, rest = text.partition(" ")
    if word == "NONE":
        return {"Test": ["NONE"]}
    if word != "CMD" or not rest:
        raise InvalidArgument(f'Unknown type "{word}" in HEALTHCHECK (try CMD)')
    array = _array(rest.strip())
    return {"Test": ["CMD", *array] if array else ["CMD-SHELL", rest.strip()], **check}


def _duration(text: str) -> int:
    """Return the nanoseconds of "1m30s"."""
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    if not pieces or "".join(a + b for a, b in pieces) != text:
        raise InvalidArgument(f'time: invalid duration "{text}"')
    return int(sum(float(a) * _UNITS[b] for a, b in pieces))
