from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.evaluating.conditions import available, read_conditions
from trainables.corpora.corpus import Utterance
from trainables.errors import DropinError

SPOKEN = [
    Utterance("b1", Path("b1"), 1, "anna", "-", {"codec": "none", "vocoder": "-"}),
    Utterance("b2", Path("b2"), 1, "bert", "-", {"codec": "alaw", "vocoder": "-"}),
    Utterance("s1", Path("s1"), 0, "anna", "A07", {"codec": "none", "vocoder": "neural"}),
    Utterance("s2", Path("s2"), 0, "bert", "A08", {"codec": "none", "vocoder": "-"}),
    Utterance("s3", Path("s3"), 0, "anna", "-", {"codec": "gsm"}),
]
LABELS = np.array([one.label for one in SPOKEN])


def groups(name: str) -> dict[str, set[str]]:
    """The names of the utterances that each value is judged on."""
    (condition,) = read_conditions(SPOKEN, [name])
    return {value: {SPOKEN[place].name for place in np.flatnonzero(own)} for value, own in condition.groups(LABELS)}


def test_the_spoofs_of_an_attack_are_judged_against_all_bona_fide_speech() -> None:
    assert groups("attack") == {"-": {"b1", "b2", "s3"}, "A07": {"b1", "b2", "s1"}, "A08": {"b1", "b2", "s2"}}


def test_a_codec_is_judged_on_the_utterances_that_have_it() -> None:
    assert groups("codec") == {"none": {"b1", "s1", "s2"}, "alaw": {"b2"}, "gsm": {"s3"}}
    assert groups("speaker") == {"anna": {"b1", "s1", "s3"}, "bert": {"b2", "s2"}}


def test_what_no_bona_fide_utterance_has_is_a_condition_of_spoofs() -> None:
    assert groups("vocoder") == {"-": {"b1", "b2", "s2", "s3"}, "neural": {"b1", "b2", "s1"}}


def test_conditions_that_there_are_not_are_told_with_those_that_there_are() -> None:
    assert available(SPOKEN) == ["attack", "speaker", "codec", "vocoder"]
    with pytest.raises(DropinError, match="attack, speaker, codec, vocoder; got colour, smell: correct it"):
        read_conditions(SPOKEN, ["codec", "colour", "smell"])
    assert [one.name for one in read_conditions(SPOKEN, ["codec", "attack", "codec"])] == ["codec", "attack"]


@settings(max_examples=50)
@given(
    spoken=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["-", "x", "y", "z"])), min_size=1, max_size=12),
)
def test_every_utterance_belongs_to_its_value_and_no_other(spoken: list[tuple[int, str]]) -> None:
    """Of spoofs in a condition of spoofs, and of all utterances in any other."""
    utterances = [
        Utterance(str(number), Path("x"), label, "-", "-" if label else "A01", {"codec": value})
        for number, (label, value) in enumerate(spoken)
    ]
    labels = np.array([label for label, _ in spoken])
    (condition,) = read_conditions(utterances, ["codec"])
    known = {label for label, value in spoken if value != "-"}
    assert condition.of_spoofs == (known == {0})
    found = dict(condition.groups(labels))
    for value, own in found.items():
        expected = [one == value if not condition.of_spoofs else bool(label) or one == value for label, one in spoken]
        assert own.tolist() == expected
    counted = [one for label, one in spoken if not (condition.of_spoofs and label)]
    assert set(found) == set(counted)
