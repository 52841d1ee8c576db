"""Identifiers and generated names."""

from __future__ import annotations

import re
import secrets

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_QUALITIES = (
    "amber bold brave brisk calm clear coastal cool copper crisp deep eager early fair fleet fresh "
    "gentle golden grand green hardy keen kind late light lively lunar mellow merry mild misty "
    "noble north pale patient plain polar proud quick quiet rapid ready royal rustic salty serene "
    "sharp silent silver sleek smooth snug solar solid south stark steady still stout sunny sure "
    "swift tame tidal tidy trim true vast vivid warm west wide wild windy wise young"
).split()
_PLACES = (
    "anchor bay beacon berth boat bollard breeze bridge buoy canal cape cargo cliff cove crane "
    "creek current deck delta dock dune eddy estuary ferry fjord foam gale galley gull harbor "
    "haven heron hull inlet island jetty keel lagoon ledge lighthouse mast mooring oar ocean otter "
    "pelican pier pilot port quay raft reef ridge river rudder sail sand seal shoal shore sloop "
    "spray strait stream surf tern tide tiller trawler tug vessel wake wave wharf yawl"
).split()


def new_id() -> str:
    """Return 64 random hexadecimal digits.

    Never twelve digits that read as a number: they are shown as a host name's first part.
    """
    while True:
        value = secrets.token_hex(32)
        if not value[:12].isdigit():
            return value


def new_name() -> str:
    """Return a name of two words, as a container gets when nobody chose one."""
    return f"{secrets.choice(_QUALITIES)}_{secrets.choice(_PLACES)}"
