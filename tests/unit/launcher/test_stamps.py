"""Work is done again exactly when its inputs changed."""

import pytest

from launcher import stamps


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "TREE", tmp_path)
    monkeypatch.setattr(stamps, "STAMPS", tmp_path / ".venv" / ".hythe")
    (tmp_path / "src" / "node_modules").mkdir(parents=True)
    (tmp_path / "src" / "main.ts").write_text("one")
    return tmp_path


def test_a_fingerprint_sees_content_names_and_nothing_built(tree):
    source = tree / "src"
    first = stamps.fingerprint([source])
    (source / "node_modules" / "x.js").write_text("x")
    assert stamps.fingerprint([source]) == first
    (source / "main.ts").write_text("two")
    second = stamps.fingerprint([source])
    assert second != first
    (source / "main.ts").rename(source / "other.ts")
    assert stamps.fingerprint([source]) not in {first, second}


def test_finished_work_is_fresh_until_its_inputs_change(tree):
    assert not stamps.fresh("frontend", "a")
    stamps.finish("frontend", "a")
    assert stamps.fresh("frontend", "a")
    assert not stamps.fresh("frontend", "b")
