"""The attacks: how each makes a spoof of a prompt. Voice, speed and pitch vary between utterances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from trainables.corpora.demo import synthesizers, vocoders
from trainables.corpora.demo.channel import decode_g722
from trainables.corpora.demo.packages import Group
from trainables.corpora.demo.recipe import Attack, number_of
from trainables.corpora.demo.speech import Prompt

_Choice = TypeVar("_Choice")
PROGRAMS = (
    Group("espeak-ng", ("espeak-ng",), ("usr/bin/espeak-ng",), depends=True),
    Group("flite", ("flite",), ("usr/bin/flite",), depends=True),
    Group(
        "festival",
        ("festival", "festvox-kallpc16k"),
        ("usr/bin/festival", "usr/share/festival/voices/english/kal_diphone"),
        depends=True,
    ),
    Group(
        "festival-it",
        ("festival", "festvox-italp16k", "festvox-itapc16k"),
        (
            "usr/bin/festival",
            "usr/share/festival/voices/italian/lp_diphone",
            "usr/share/festival/voices/italian/pc_diphone",
        ),
        depends=True,
    ),
)
# Words per minute and stretch factors at which each voice is about as slow as the human speaker, so that the duration
# of an utterance does not reveal its class.
_ESPEAK_VOICES = {"en": ("en-us", 142), "es": ("es-419", 120), "ru": ("ru", 146)}
# No variants with breath noise, which is not reproducible.
_ESPEAK_VARIANTS = ("", "+f1", "+f4", "+m3")
_KLATT_VARIANTS, _KLATT_SPEED = ("+klatt", "+klatt2", "+klatt4"), 175
_FLITE_VOICES = (("slt", 1.14), ("rms", 1.03), ("awb", 1.13))
_ENGLISH_DIPHONES = (("kal_diphone", 1.29),)
_ITALIAN_DIPHONES = (("lp_diphone", 0.98), ("pc_diphone", 0.96))
_PITCHES = (0.84, 0.89, 1.12, 1.19)


def missing(attack: Attack, roots: Mapping[str, Path], example: Prompt) -> str | None:
    """The reason why an attack is not available, or ``None``.

    Args:
        attack: one of the recipe's.
        roots: root folders of the available groups of `PROGRAMS`.
        example: a prompt in a language that the attack supports.
    """
    try:
        spoof(attack.name, example, roots)
    except (synthesizers.SynthesisError, ImportError) as error:
        return str(error)
    return None


def spoof(attack: str, prompt: Prompt, roots: Mapping[str, Path]) -> np.ndarray:
    """The spoof of a prompt: from its text, or from its recording.

    Returns:
        float32 ``[samples]`` at 16 kHz, before the channel.

    Raises:
        SynthesisError: a program failed.
        ImportError: pyworld is not installed.
    """
    number = number_of(attack, prompt.language, prompt.key)
    if attack in COPIES:
        return COPIES[attack](decode_g722(prompt.path.read_bytes()), number)
    return SPEAKERS[attack](prompt, number, roots)


def _espeak(prompt: Prompt, number: int, roots: Mapping[str, Path]) -> np.ndarray:
    voice, speed = _ESPEAK_VOICES[prompt.language]
    return synthesizers.espeak(
        _root(roots, "espeak-ng"),
        prompt.text,
        voice=voice + _pick(_ESPEAK_VARIANTS, number),
        words_a_minute=round(speed / _stretch(number)),
        pitch=40 + number // 64 % 25,
    )


def _klatt(prompt: Prompt, number: int, roots: Mapping[str, Path]) -> np.ndarray:
    return synthesizers.espeak(
        _root(roots, "espeak-ng"),
        prompt.text,
        voice=prompt.language + _pick(_KLATT_VARIANTS, number),
        words_a_minute=round(_KLATT_SPEED / _stretch(number)),
        pitch=40 + number // 64 % 25,
    )


def _flite(prompt: Prompt, number: int, roots: Mapping[str, Path]) -> np.ndarray:
    voice, stretch = _pick(_FLITE_VOICES, number)
    return synthesizers.flite(_root(roots, "flite"), prompt.text, voice=voice, stretch=stretch * _stretch(number))


def _festival(prompt: Prompt, number: int, roots: Mapping[str, Path]) -> np.ndarray:
    italian = prompt.language == "it"
    voice, stretch = _pick(_ITALIAN_DIPHONES if italian else _ENGLISH_DIPHONES, number)
    return synthesizers.festival(
        _root(roots, "festival-it" if italian else "festival"),
        prompt.text,
        voice=voice,
        stretch=stretch * _stretch(number),
        encoding="iso-8859-1",
    )


def _root(roots: Mapping[str, Path], program: str) -> Path:
    if program not in roots:
        raise synthesizers.SynthesisError(f"{program} is not available")
    return roots[program]


def _pick(choices: Sequence[_Choice], number: int) -> _Choice:
    return choices[number % len(choices)]


def _stretch(number: int) -> float:
    """A factor on durations, 0.92 to 1.08."""
    return round(0.92 + 0.16 * (number // 4096 % 1024) / 1023, 3)


COPIES: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "A03": lambda audio, number: vocoders.world(audio),
    "A04": lambda audio, number: vocoders.griffin_lim(audio, mels=80, seed=number),
    "A06": lambda audio, number: vocoders.lpc(audio, seed=number),
    "A08": lambda audio, number: vocoders.world(audio, pitch=_pick(_PITCHES, number)),
    "A09": lambda audio, number: vocoders.world(audio, coded=24),
    "A10": lambda audio, number: vocoders.griffin_lim(audio, mels=40, seed=number),
}
SPEAKERS: Mapping[str, Callable[[Prompt, int, Mapping[str, Path]], np.ndarray]] = {
    "A01": _espeak,
    "A02": _flite,
    "A05": _festival,
    "A07": _klatt,
    "A11": _festival,
}
