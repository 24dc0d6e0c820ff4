"""The words by which protocols, tables and folders call bona fide and spoofed speech."""

from __future__ import annotations

import re

from trainables.corpora.corpus import BONA_FIDE, SPOOF

BONA_FIDE_WORDS = ("bonafide", "bona-fide", "genuine", "real", "human", "1")
SPOOF_WORDS = ("spoof", "spoofed", "fake", "deepfake", "0")
_SEPARATORS = re.compile(r"[-_\s]+")


def read_label(text: str) -> int | None:
    """The label that a word stands for, or ``None`` for any other word.

    Case, hyphens, underscores and blanks make no difference: ``Bona Fide`` is ``bonafide``, ``deep-fake`` is
    ``deepfake``.
    """
    return _LABELS.get(text) if text in _LABELS else _LABELS.get(_plain(text))


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", text).casefold()


_LABELS = {_plain(word): BONA_FIDE for word in BONA_FIDE_WORDS} | {_plain(word): SPOOF for word in SPOOF_WORDS}
