"""The two tables of a container's life agree with each other."""

from __future__ import annotations

import pytest

from engine.containers.model import ALLOWED, MOVES, Container, State, Verb, new_state
from engine.core.errors import Internal

LEADS_TO = {
    Verb.START: State.RUNNING,
    Verb.PAUSE: State.PAUSED,
    Verb.UNPAUSE: State.RUNNING,
    Verb.REMOVE: State.REMOVING,
}


@pytest.mark.parametrize("verb", LEADS_TO)
def test_what_a_verb_allows_is_a_move(verb):
    """From each state in which a verb is allowed, the state it leads to can be reached."""
    for state in ALLOWED[verb]:
        assert LEADS_TO[verb] in MOVES[state], (verb, state)


def test_every_state_has_its_moves():
    """None is forgotten, and each but the last can be left."""
    assert set(MOVES) == set(State)
    assert all(MOVES.values())


def test_another_move_is_a_fault():
    """The state stays as it was."""
    container = Container({"Id": "x", "State": new_state(State.CREATED, None)})
    with pytest.raises(Internal, match="cannot become paused from created"):
        container.set_state(State.PAUSED)
    assert container.state is State.CREATED
    container.set_state(State.RUNNING)
    assert container.document["State"]["Running"] is True
