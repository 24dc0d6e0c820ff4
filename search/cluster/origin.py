"""Where the project's packages come from: there are others named `spaces`.

Nothing of the project is imported here, and its own error class is not to be had: what a program imports next may be
another package's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

PACKAGES = ("search", "trainables", "spaces")


def check_origin(modules: Mapping[str, ModuleType] | None = None) -> Path:
    """The folder that the project's three packages come from.

    Args:
        modules: the packages by name; ``None`` for those that Python finds.

    Raises:
        ValueError: they do not come from one folder; says which one is elsewhere.
    """
    if modules is None:
        modules = {name: __import__(name) for name in PACKAGES}
    folders = {name: Path(m.__file__).resolve().parent.parent if m.__file__ else None for name, m in modules.items()}
    home = folders["search"]
    for name, folder in folders.items():
        if folder is None or folder != home:
            origin = next(iter(getattr(modules[name], "__path__", ["unknown"])))
            raise ValueError(
                f"search, trainables and spaces must come from one folder; search is in {home}, {name} is {origin}: "
                f"start from the project's own folder, or uninstall the other package named {name}"
            )
    assert home is not None
    return home
