"""Texts that come from outside, as a terminal, a log or a page may show them."""

from __future__ import annotations


def printable(text: object, keep: str = "") -> str:
    r"""A text in which every character that cannot be seen is escaped as in Python: ``\x1b``, ``\u202e``, ``\n``.

    A terminal obeys control characters, marks of direction make a name read as another one, and a line break pretends
    to be a line of ours. File names may hold all of these, and bytes that are no text at all (as lone surrogates).

    Args:
        text: whatever is to be shown, as ``str`` gives it.
        keep: characters that stay as they are.
    """
    return "".join(
        character if character.isprintable() or character in keep else ascii(character)[1:-1] for character in str(text)
    )
