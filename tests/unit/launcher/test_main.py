"""The words of the launcher and how they refuse."""

import pytest

from launcher.main import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: WORD"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["up", "--port", "70000"], "70000 is no port"),
        (["up", "--por", "80"], "unrecognized arguments: --por 80"),
        (["token", "create", "--user", "a"], "required: --name"),
    ],
)
def test_wrong_words_are_refused_with_usage(capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert "usage: hythe" in errors
    assert said in errors


def test_an_instance_that_does_not_run_has_status_3(capsys, tmp_path):
    assert main(["status", "--data", str(tmp_path / "x")]) == 3
    assert "not running" in capsys.readouterr().out


def test_stopping_what_does_not_run_is_no_error(capsys, tmp_path):
    assert main(["down", "--data", str(tmp_path / "x")]) == 0
    assert "not running" in capsys.readouterr().out
