"""The contract between the platform and whoever calls it stands in the repository, up to date."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from tests.support.engine import TREE


def test_schema_is_fresh():
    """docs/schema.yaml is what the platform tells; regenerate it with the command below."""
    told = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=told)
    written = (TREE / "docs" / "schema.yaml").read_text()
    assert told.getvalue().strip() == written.strip(), (
        ".venv/bin/python manage.py spectacular --file docs/schema.yaml"
    )
