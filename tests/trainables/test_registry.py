"""Plugins of a package that is made for the test: looked up by name, read when asked, refused where incomplete."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainables import corpora, criteria, features, growth, models
from trainables.errors import DropinError
from trainables.registry import Registry

FILES = {
    "one": "SEARCHED = True\nNEEDS: tuple[str, ...] = ('data', 'signal')\nTWICE = len('ab')\n",
    "two": "import no_such_module\n\nSEARCHED = False\nOPTIONS = OTHER = {'width': 16}\n",
    "three": "SEARCHED = True\nNEEDS: tuple[str, ...]\n",
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A package of three files, the second of which cannot be imported."""
    (tmp_path / "plugins").mkdir()
    for name, text in {"__init__": "NAMES = ('one', 'three')\n", **FILES}.items():
        (tmp_path / "plugins" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("plugins", "plugins.one", "plugins.two", "plugins.three"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    __import__("plugins")
    return Registry("plugins", "kind of plugin", ("SEARCHED",))


def test_a_plugin_is_the_module_of_its_name(registry: Registry) -> None:
    assert registry.load("one") is sys.modules["plugins.one"]


def test_names_are_read_when_asked(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DropinError, match=r"^kind of plugin must be one of one, three; got 'two'$"):
        registry.constant("two", "OPTIONS")
    monkeypatch.setattr(sys.modules["plugins"], "NAMES", ("two",))
    assert registry.constant("two", "OPTIONS") == {"width": 16}
    with pytest.raises(DropinError, match=r"^kind of plugin must be one of two; got 'one'$"):
        registry.load("one")


def test_names_can_differ_from_those_of_files(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["plugins"], "NAMES", {"first-a": "one", "first-b": "one"})
    assert registry.load("first-a") is registry.load("first-b") is sys.modules["plugins.one"]
    assert registry.searched() == ("first-a", "first-b")
    with pytest.raises(DropinError, match=r"must be one of first-a, first-b; got 'one'"):
        registry.load("one")


def test_searched_plugins_come_in_the_order_of_names(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry.searched() == ("one", "three")
    monkeypatch.setattr(sys.modules["plugins"], "NAMES", ("three", "one"))
    assert registry.searched() == ("three", "one")
    monkeypatch.setattr(registry.load("three"), "SEARCHED", False)
    assert registry.searched() == ("one",)


def test_a_constant_is_read_without_an_import(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["plugins"], "NAMES", tuple(FILES))
    assert registry.constant("one", "NEEDS") == ("data", "signal")
    assert registry.constant("two", "OTHER") == {"width": 16}
    assert not {"plugins.one", "plugins.two"} & set(sys.modules)


def test_what_is_no_literal_is_refused(registry: Registry) -> None:
    for name, attribute in (("one", "TWICE"), ("one", "WORDS"), ("three", "NEEDS")):
        with pytest.raises(DropinError, match=f"of kind of plugin {name} must define {attribute} as a literal; see"):
            registry.constant(name, attribute)


def test_incomplete_and_missing_files_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = Registry("plugins", "kind of plugin", ("SEARCHED", "WORDS", "fill"))
    with pytest.raises(DropinError, match=r"of kind of plugin one must define WORDS, fill; see the docstring of plug"):
        strict.load("one")
    monkeypatch.setattr(sys.modules["plugins"], "NAMES", ("four",))
    with pytest.raises(ModuleNotFoundError, match=r"plugins\.four"):
        registry.load("four")
    with pytest.raises(ModuleNotFoundError, match="no file of kind of plugin four"):
        registry.constant("four", "WORDS")


@pytest.mark.parametrize("package", [corpora, criteria, features, growth, models])
def test_every_file_defines_what_its_package_asks_for(package: object) -> None:
    for name in package.NAMES:  # type: ignore[attr-defined]
        assert package.load(name).__doc__  # type: ignore[attr-defined]
