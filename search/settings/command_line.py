"""The command line of ``search.run``, made of the fields of `Settings`, and the arguments that other commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from search.settings import values
from search.settings.declaration import Option
from search.settings.options import WHERE, Settings, options
from search.settings.start import check_new, claim_new, resumed
from trainables.errors import DropinError
from trainables.printable import printable


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one message and the way to the help; abbreviations are not taken."""

    def __init__(self, prog: str, description: str, **more: Any) -> None:
        """A parser of ``python -m PROG``."""
        super().__init__(prog=f"python -m {prog}", description=description, allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        """End with code 2 after the message."""
        self.exit(2, f"{self.prog}: {printable(message)}\n(see {self.prog} --help)\n")


def read(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from the command line, not `completed`: the model's file, which imports torch, is not needed.

    The name of a new run is taken by this.

    Args:
        arguments: without the program's name; ``None`` for those of this process.

    Raises:
        SystemExit: with code 2 after one message that names the rule, the value and the next step; 0 after ``--help``.
    """
    return _read(arguments, claim_new)


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Settings as `read` gives them, `completed`; the name of a new run is not taken.

    Raises:
        SystemExit: see `read`.
    """
    settings = _read(arguments, check_new)
    try:
        return settings.completed()
    except DropinError as error:
        make_parser().error(str(error))


def resumes(arguments: Sequence[str] | None = None) -> bool:
    """Whether a command line that `read` takes goes on with a run."""
    return "resume" in make_parser().parse_args(arguments)


def _read(arguments: Sequence[str] | None, begin: Callable[[Settings], None]) -> Settings:
    """Settings from the command line; `begin` checks those of a new run."""
    parser = make_parser()
    given = vars(parser.parse_args(arguments))
    if "model_option" in given:
        given["model_option"] = dict(given["model_option"])
    try:
        if (run := given.pop("resume", None)) is not None:
            return resumed(run, **given)
        settings = Settings(**given)
        begin(settings)
    except DropinError as error:
        parser.error(str(error))
    return settings


def make_parser() -> Parser:
    """The parser. Options that are not given are left out of what it parses."""
    parser = Parser(
        "search.run",
        "Search for detectors that neuron growth makes better or smaller; ends in a Pareto front of EER and size.",
        argument_default=argparse.SUPPRESS,
    )
    add_options(parser, options())[WHERE].add_argument(
        "--resume",
        type=values.NAME_OR_URI.parsed,
        metavar="RUN",
        help="go on with a run: its folder or URI, or its name in --storage",
    )
    return parser


def add_options(parser: Parser, declared: Mapping[str, Option]) -> dict[str, argparse._ArgumentGroup]:
    """Add options to a parser, and give their groups by name."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, option in declared.items():
        group = groups.get(option.group) or parser.add_argument_group(option.group)
        groups[option.group] = group
        group.add_argument(
            "--" + name.replace("_", "-"),
            help=option.full_help().replace("%", "%%"),
            **_how(option.kind, option.metavar),
        )
    return groups


def _how(kind: values.Kind, metavar: str | None) -> dict[str, Any]:
    """How argparse takes an option of this kind."""
    if kind is values.FLAG:
        return {"action": "store_true"}
    if kind is values.MAPPING:
        return {"action": "append", "type": values.KEY_VALUE.parsed, "metavar": metavar}
    if kind is values.PATHS_OR_URIS:
        return {"nargs": "+", "type": values.PATH_OR_URI.parsed, "metavar": metavar}
    if kind.names is not None:
        return {"type": kind.parsed, "metavar": metavar or "{" + ",".join(kind.names()) + "}"}
    return {"type": kind.parsed, "metavar": metavar}
