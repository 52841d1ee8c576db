"""Labels as filters ask for them."""

from __future__ import annotations


def has_label(labels: dict[str, str], wanted: str) -> bool:
    """Tell whether labels have a key, or a key with a value when `wanted` is "key=value"."""
    key, separator, value = wanted.partition("=")
    return key in labels and (not separator or labels[key] == value)
