"""What the demo corpus says: transcripts, the prompts that are taken, and the recipe."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.corpus import SPLITS
from trainables.corpora.demo import recipe, speech, spoofs
from trainables.corpora.demo.speech import Prompt

ATTACKS = (*recipe.ATTACKS["seen"], *recipe.ATTACKS["unseen"])


def made_up_prompts(count: int) -> dict[str, list[Prompt]]:
    return {
        language: [
            Prompt(language, f"key-{number}", f"text {number}", Path(f"{number}.g722")) for number in range(count)
        ]
        for language in speech.VOICES
    }


def test_transcript_lines() -> None:
    text = "\ufeff; Core sounds\n\nagent-pass: Enter: please.\nvm-and:and\r\nempty:\nno colon\nvm-and: again\n ; x: y\n"
    assert speech.parse_transcript(text) == {"agent-pass": "Enter: please.", "vm-and": "and", "; x": "y"}


@given(st.dictionaries(st.from_regex(r"[a-z0-9/-]+", fullmatch=True), st.from_regex(r"\w[\w :,.]*\w", fullmatch=True)))
def test_transcript_round_trip(texts: dict[str, str]) -> None:
    assert speech.parse_transcript("".join(f"{key}: {text}\n" for key, text in texts.items())) == texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Please  try again.", "Please try again."),
        ("... for ...", "for"),
        ("Ещё раз — «да»", "Ещё раз - да"),
        ("Login incorrect.  Mailbox?", "Login incorrect. Mailbox?"),
        ("Quell\u2019operatore", "Quell'operatore"),
        ("[ascending tones]", None),
        ("(1 second of silence)", None),
        ("press * to pause", None),
        ("Press 1", None),
        ("il tempo sar? esattamente", None),
        ("lost \ufffd letter", None),
        ("...", None),
    ],
)
def test_only_words_are_read_aloud(text: str, said: str | None) -> None:
    assert speech.readable(text) == said


def test_prompts_are_readable_distinct_and_neither_short_nor_long(tmp_path: Path) -> None:
    transcript, sound = (tmp_path / file for file in speech.GROUPS["it"].files)
    lines = {"a": "uno", "b": "Uno!", "c": "due", "d": "tre", "e": "quattro", "f": "[beep]", "g": "cinque", "h": "sei"}
    sizes = {"a": 8000, "b": 9000, "c": 7999, "d": 64000, "e": 64001, "f": 8000, "g": 8000}
    transcript.parent.mkdir(parents=True)
    transcript.write_bytes(gzip.compress("".join(f"{key}: {text}\n" for key, text in lines.items()).encode()))
    sound.parent.mkdir(parents=True)
    for key, size in sizes.items():
        (sound.parent / f"{key}.g722").write_bytes(bytes([ord(key)]) * size)
    (sound.parent / "g.g722").write_bytes((sound.parent / "a.g722").read_bytes())
    found = speech.prompts(tmp_path, "it")
    assert {prompt.key for prompt in found} == {"a", "d"}  # b says what a says, g sounds as a sounds


def test_recipe_counts() -> None:
    jobs = recipe.jobs(made_up_prompts(200), ATTACKS)
    counts = Counter((job.split, job.attack) for job in jobs)
    for split in SPLITS:
        group = recipe.ATTACKS["unseen" if split == "eval" else "seen"]
        assert counts.pop((split, "-")) == recipe.BONA_FIDE[split]
        each = {counts.pop((split, attack.name)) for attack in group}
        assert each == {recipe.SPOOFS[split] // len(group)}
    assert not counts
    assert len({job.name for job in jobs}) == len(jobs)
    assert jobs == recipe.jobs(made_up_prompts(200), ATTACKS)


@pytest.mark.parametrize(
    "lost", [set(), {"A01", "A02", "A07"}, {"A01", "A02", "A05", "A03", "A07", "A08", "A09", "A11"}]
)
def test_recipe_keeps_the_rules_whatever_attacks_there_are(lost: set[str]) -> None:
    available = [attack for attack in ATTACKS if attack.name not in lost]
    jobs = recipe.jobs(made_up_prompts(180), available)
    languages = {attack.name: attack.languages for attack in ATTACKS}
    copies = {attack.name for attack in ATTACKS if attack.copies}
    said: dict[str, set[Prompt]] = {}
    for split in SPLITS:
        here = [job for job in jobs if job.split == split]
        bona_fide = [job.prompt for job in here if job.attack == "-"]
        spoofs_made = [job for job in here if job.attack != "-"]
        assert len(bona_fide) == len(set(bona_fide)) == recipe.BONA_FIDE[split]
        assert len(spoofs_made) == recipe.SPOOFS[split]
        assert not {job.attack for job in here} & lost
        assert all(job.prompt.language in languages[job.attack] for job in spoofs_made)
        assert not set(bona_fide) & {job.prompt for job in spoofs_made if job.attack in copies}
        for language, share in recipe.LANGUAGES[split].items():
            assert sum(prompt.language == language for prompt in bona_fide) == share * recipe.BONA_FIDE[split]
            assert sum(job.prompt.language == language for job in spoofs_made) == share * recipe.SPOOFS[split]
        said[split] = {job.prompt for job in here}
        assert {job.speaker for job in here} == {f"LA_{speech.VOICES[one]}" for one in recipe.LANGUAGES[split]}
    assert not said["train"] & said["dev"]
    assert not (said["train"] | said["dev"]) & said["eval"]


def test_recipe_refuses_too_few_prompts() -> None:
    with pytest.raises(ValueError, match="more than 90 prompts in it; found 95"):
        recipe.jobs({**made_up_prompts(200), "it": made_up_prompts(95)["it"]}, ATTACKS)


def test_every_attack_can_be_made() -> None:
    assert {*spoofs.COPIES, *spoofs.SPEAKERS} == {attack.name for attack in ATTACKS}
    assert set(spoofs.COPIES) == {attack.name for attack in ATTACKS if attack.copies}
