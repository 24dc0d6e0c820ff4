"""How an option is declared: a dataclass field that carries its help, group and check."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any

from search.settings.values import Kind
from trainables.errors import DropinError

OPTION = "option"
"""Where a field's metadata hold its `Option`."""


@dataclass(frozen=True)
class Option:
    """What the command line says of a field of `Settings`.

    Attributes:
        kind: what its value may be.
        group: the group that ``--help`` shows it in.
        help: what it does.
        default_text: what ``--help`` calls the default; empty where there is nothing to say.
        metavar: what stands for the value.
        resumable: whether it may differ when a run is resumed: how long and where, never what.
        optional: whether the value may be ``None``.
    """

    kind: Kind
    group: str
    help: str
    default_text: str | Callable[[], str] = ""
    metavar: str | None = None
    resumable: bool = False
    optional: bool = False

    def full_help(self) -> str:
        """The help with the default."""
        default = self.default_text if isinstance(self.default_text, str) else self.default_text()
        return f"{self.help} (default: {default})" if default else self.help


def declared(default: Any, kind: Kind, group: str, help: str, **more: Any) -> Any:
    """A dataclass field with what the command line says of it; `default` is a value, or a function that gives one."""
    said = isinstance(default, (int, float, str)) and default is not False and default != ""
    if "default_text" not in more and said:
        more["default_text"] = f"{default:g}" if isinstance(default, float) else str(default)
    made = Option(kind, group, help, optional=default is None, **more)
    given: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return field(**given, metadata={OPTION: made})


def options_of(made: type) -> dict[str, Option]:
    """The options of a dataclass by the names of their fields, in its order."""
    return {one.name: one.metadata[OPTION] for one in fields(made) if OPTION in one.metadata}


def check_values(made: object, *, but: Collection[str] = ()) -> None:
    """Check every option of a dataclass' instance, and keep each value as its kind keeps it.

    Args:
        made: the instance.
        but: names of options that are not checked.

    Raises:
        DropinError: a value that breaks its option's rule.
    """
    for name, option in options_of(type(made)).items():
        value = getattr(made, name)
        if name in but or (value is None and option.optional):
            continue
        try:
            kept = option.kind.checked(value)
        except DropinError as error:
            raise DropinError(f"{name} {error}") from error
        object.__setattr__(made, name, kept)  # the only way in a frozen dataclass, as its own __init__ does it
