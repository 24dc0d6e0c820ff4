"""Human speech: telephone prompts with their transcripts, as the distribution packages them."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from trainables.corpora.demo.packages import Group

SHORTEST, LONGEST = 1.0, 8.0
"""Seconds of the prompts that are used, silence at the ends included."""
VOICES = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "ru": "ru_RU_f_IvrvoiceRU", "it": "it_IT_m_Carlo"}
"""Speaker of each language, which is also the name of the folder that holds the prompts."""
GROUPS = {
    language: Group(
        f"prompts-{language}",
        (f"asterisk-core-sounds-{language}", f"asterisk-core-sounds-{language}-g722"),
        (
            f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz",
            f"usr/share/asterisk/sounds/{voice}/vm-goodbye.g722",
        ),
    )
    for language, voice in VOICES.items()
}
"""Packages of each language."""
_BYTES_A_SECOND = 8000
# Stage directions, symbols that every synthesizer reads differently, characters lost in transcription.
_UNREADABLE = re.compile(r"[\[\](){}<>*#@$/\\=+_~^|\ufffd\d]|\?\s*[^\W\d_A-ZÀ-ÞА-Я]", re.UNICODE)
_PLAIN = str.maketrans("\u2018\u2019\u2013\u2014\u2026", "''--.", '"\u201c\u201d\u00ab\u00bb')


@dataclass(frozen=True)
class Prompt:
    """One recorded sentence: its language, its key in the transcript, its text and its G.722 file."""

    language: str
    key: str
    text: str
    path: Path


def parse_transcript(text: str) -> dict[str, str]:
    """Texts by key, from lines ``key: text``; comments (``;``), other lines and a key's second text are left out."""
    texts: dict[str, str] = {}
    for line in text.lstrip("\ufeff").splitlines():
        key, colon, said = line.partition(":")
        if colon and not line.startswith(";") and key.strip() and said.strip():
            texts.setdefault(key.strip(), said.strip())
    return texts


def readable(text: str) -> str | None:
    """A text for synthesizers, or ``None`` if it has other symbols or no words."""
    plain = " ".join(re.sub(r"\.{2,}", " ", text.translate(_PLAIN)).split())
    return None if _UNREADABLE.search(plain) or not any(map(str.isalpha, plain)) else plain


def prompts(root: Path, language: str) -> tuple[Prompt, ...]:
    """The prompts of a language that are 1 to 8 s long and have a transcript of words, without duplicates.

    In a pseudo-random order that depends on the keys only.

    Raises:
        OSError: the transcript is missing or damaged.
    """
    transcript_file, any_sound = (root / file for file in GROUPS[language].files)
    transcript = parse_transcript(gzip.decompress(transcript_file.read_bytes()).decode("utf-8", "replace"))
    found = []
    seen: set[str] = set()
    for key in sorted(transcript):
        path = any_sound.parent / f"{key}.g722"
        text = readable(transcript[key])
        if text is None or not path.is_file():
            continue
        if not SHORTEST <= path.stat().st_size / _BYTES_A_SECOND <= LONGEST:
            continue
        letters = "".join(filter(str.isalnum, text.lower()))
        identities = {letters, hashlib.sha256(path.read_bytes()).hexdigest()}
        if not identities & seen:
            found.append(Prompt(language, key, text, path))
        seen |= identities
    return tuple(sorted(found, key=lambda prompt: hashlib.sha256(f"{language}/{prompt.key}".encode()).digest()))
