"""Moments as the API writes them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

ZERO = "0001-01-01T00:00:00Z"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def now() -> datetime:
    """Return the current moment."""
    return datetime.now(UTC)


def stamp(moment: datetime | None = None) -> str:
    """Return a moment in RFC 3339 with fractions of a second."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """Read RFC 3339, with up to nine digits of fraction. Raises ValueError."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_since(text: str) -> float:
    """Return the seconds since the epoch that a client's `since` or `until` means."""
    return parse_since_ns(text) / 1e9


def parse_since_ns(text: str) -> int:
    """Return the nanoseconds since the epoch that a client's `since` or `until` means.

    Shape: "1136073600.000000001", RFC 3339, or a duration before now such as "10m" or "1h30m".
    Raises: ValueError.
    """
    whole, _, fraction = text.partition(".")
    if whole.isdigit() and (not fraction or fraction.isdigit()):
        return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    pieces = _DURATION.findall(text)
    if pieces and "".join(a + b for a, b in pieces) == text:
        seconds = sum(float(a) * _SECONDS[b] for a, b in pieces)
        return time.time_ns() - int(seconds * 1e9)
    moment = parse(text)
    digits = re.search(r"\.(\d+)", text)
    fraction = digits[1] if digits else ""
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + int(
        fraction[:9].ljust(9, "0")
    )


def stamp_ns(nanoseconds: int) -> str:
    """Return a moment in RFC 3339 with all nine digits, so that texts sort as moments do."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def ago(moment: datetime) -> str:
    """Return how long ago a moment was, in the Docker CLI's words ("About a minute")."""
    seconds = int((now() - moment).total_seconds())
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = round(seconds / 3600)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"
