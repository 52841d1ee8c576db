"""The words of `./hythe`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from launcher.instance import DEFAULT_HOST, DEFAULT_PORT, Instance
from launcher.report import LauncherError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one word and return its exit status."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.word not in {"test", "bench"}:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return _dispatch(options, rest)
    except LauncherError as error:
        sys.stdout.flush()
        sys.stderr.write(f"hythe: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nhythe: interrupted\n")
        return 130


def _dispatch(options: argparse.Namespace, rest: list[str]) -> int:
    # Imported late: every word pays for its own modules alone.
    if options.word == "test":
        from launcher import testing

        return testing.test(rest)
    if options.word == "bench":
        from launcher import testing

        return testing.bench(rest)
    from launcher import control

    host = getattr(options, "host", DEFAULT_HOST)
    instance = Instance.at(options.data, host, getattr(options, "port", DEFAULT_PORT))
    if options.word == "up":
        return control.up(instance, detach=options.detach)
    if options.word in {"setup", "token"}:
        return _administer(instance, options)
    words = {"down": control.down, "status": control.status, "engine": control.engine}
    return words[options.word](instance)


def _administer(instance: Instance, options: argparse.Namespace) -> int:
    from launcher import control
    from launcher.admin import manage_attached
    from launcher.prepare import prepare

    prepare(frontend=False)
    control.make_ready(instance)
    if options.word == "setup":
        return manage_attached(
            instance, "setup", "--username", options.username, "--password-stdin"
        )
    return manage_attached(instance, "create_token", "--user", options.user, "--name", options.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hythe",
        description="A container engine and the web platform on it.",
        allow_abbrev=False,
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    up = _word(words, "up", "prepare what is missing and start everything")
    up.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port of the web platform (%(default)s)"
    )
    up.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (%(default)s)")
    up.add_argument("--detach", action="store_true", help="return when everything answers")
    _word(words, "down", "stop everything; containers keep running")
    _word(words, "status", "tell what runs")
    _word(words, "engine", "run the engine alone, in the foreground")
    setup = _word(words, "setup", "make the first administrator without a browser")
    setup.add_argument("--username", required=True)
    setup.add_argument(
        "--password-stdin",
        action="store_true",
        required=True,
        help="read the password from standard input",
    )
    token = words.add_parser("token", help="make API tokens", allow_abbrev=False)
    verbs = token.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = _word(verbs, "create", "print a new API token, once")
    create.add_argument("--user", required=True, help="whose token it is")
    create.add_argument("--name", required=True, help="what it is for")
    words.add_parser(
        "test",
        help="install what the tests need and run them all",
        add_help=False,
        allow_abbrev=False,
    )
    words.add_parser(
        "bench", help="measure Hythe against its peers", add_help=False, allow_abbrev=False
    )
    return parser


def _word(
    words: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = words.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.add_argument("--data", metavar="DIR", help="directory of this instance (/var/lib/hythe)")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return int(text)
