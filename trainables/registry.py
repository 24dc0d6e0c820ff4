"""Plugins by name: a package lists its files in ``NAMES``, and one of them is imported when it is asked for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from trainables.errors import DropinError


@dataclass(frozen=True)
class Registry:
    """The plugins of a package.

    Its ``NAMES`` are read whenever a name is looked up, not once at import.

    Attributes:
        package: full name of the package. Its ``NAMES`` hold the plugins' names, which are the names of their files;
            where these differ, ``NAMES`` maps one to the other.
        kind: what a plugin is called in messages, such as ``growth rule``.
        attributes: what every file must define.
    """

    package: str
    kind: str
    attributes: tuple[str, ...] = ()

    def load(self, name: str) -> ModuleType:
        """The module of a plugin.

        Raises:
            DropinError: no plugin of this name, or its file does not define what it must.
        """
        module = import_module(self._module(name))
        if missing := [attribute for attribute in self.attributes if not hasattr(module, attribute)]:
            raise self._incomplete(name, missing)
        return module

    def constant(self, name: str, attribute: str) -> Any:
        """A literal that a plugin's file defines, read from its source.

        The file is not imported, since that may import torch, for which no command line should have to wait.

        Raises:
            DropinError: no plugin of this name, or its file assigns no literal to `attribute`.
            ModuleNotFoundError: a plugin that is named has no file.
        """
        module = self._module(name)
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no file of {self.kind} {name}, which {self.package} names")
        for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
            if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == attribute for target in targets):
                try:
                    return ast.literal_eval(node.value)
                except ValueError:
                    break
        raise self._incomplete(name, [f"{attribute} as a literal"])

    def searched(self) -> tuple[str, ...]:
        """The names of the plugins that a search may choose, those with ``SEARCHED``, in the order of ``NAMES``."""
        return tuple(name for name in self._names() if self.load(name).SEARCHED)

    def _names(self) -> Collection[str]:
        names: Collection[str] = sys.modules[self.package].NAMES
        return names

    def _module(self, name: str) -> str:
        names = self._names()
        if name not in names:
            raise DropinError(f"{self.kind} must be one of {', '.join(names)}; got {name!r}")
        return f"{self.package}.{names[name] if isinstance(names, Mapping) else name}"

    def _incomplete(self, name: str, missing: list[str]) -> DropinError:
        return DropinError(
            f"the file of {self.kind} {name} must define {', '.join(missing)}; see the docstring of {self.package}"
        )
