"""Small trees in the forms in which corpora are published; the lines are those of their files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

M_AILABS = "m-ailabs"
"""Folder of the bona fide speech that `make_mlaad` writes below its root."""
MANIFEST = "manifest.csv"
"""File that `make_manifest` writes below its root."""
LA_2021 = (
    "LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval",
    "LA_0009 LA_E_2 opus loc_tx A17 spoof notrim eval",
    "LA_0020 LA_E_3 g722 loc_tx bonafide bonafide notrim eval",
    "LA_0020 LA_E_4 none - - bonafide notrim eval",
    "LA_0009 LA_E_5 alaw loc_tx A07 spoof notrim progress",
    "LA_0020 LA_E_6 pstn mad_tx bonafide bonafide notrim progress",
    "LA_0021 LA_E_7 gsm loc_tx bonafide bonafide only_speech hidden",
    "LA_0022 LA_E_8 gsm loc_tx A08 spoof only_speech hidden",
)
DF_2021 = (
    "LA_0023 DF_E_1 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
    "TEF2 DF_E_2 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder_nonautoregressive Task1 team20 FF E",
    "VCC2TM1 DF_E_3 low_m4a vcc2018 SPO-B01 spoof notrim eval traditional_vocoder SPO B01 MM E",
    "LA_0048 DF_E_4 mp3m4a asvspoof - bonafide notrim eval bonafide - - - -",
    "LA_0044 DF_E_5 high_ogg asvspoof - bonafide notrim progress bonafide - - - -",
)
ASVSPOOF5 = {
    "train": ("T_0001 T_0000000001 F - - - AC3 A05 spoof -", "T_0002 T_0000000002 M - - - - bonafide bonafide -"),
    "dev": ("D_4461 D_0000000169 F - - - AC1 A14 spoof -", "D_0461 D_0000000190 M - - - - bonafide bonafide -"),
    "eval": (
        "E_0001 E_0000000001 F C05 3 E_0000000009 AC1 A18 spoof -",
        "E_0001 E_0000000002 F - 0 - AC1 A32 spoof -",
        "E_0002 E_0000000003 M C11 1 E_0000000008 - bonafide bonafide -",
    ),
}
IN_THE_WILD = "file,speaker,label\n0.wav,Alec Guinness,spoof\n1.wav,Barack Obama,spoof\n2.wav,Alec Guinness,bona-fide\n"
MLAAD_HEADER = (
    "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript"
)


def write_audio(*paths: Path) -> None:
    """Write 50 ms of noise into each file, and make its folder; what is in it is that of the path."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = np.frombuffer(str(path.name).encode(), dtype=np.uint8)
        soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 800), 16000)


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write a text file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def make_asvspoof2021_la(root: Path) -> None:
    """The full keys beside the audio."""
    write_lines(root / "keys" / "LA" / "CM" / "trial_metadata.txt", LA_2021)
    write_audio(*(root / "ASVspoof2021_LA_eval" / "flac" / f"{line.split()[1]}.flac" for line in LA_2021))


def make_asvspoof2021_df(root: Path) -> None:
    """The full keys in the folder that they are packed in, and the audio in two of the four parts."""
    write_lines(root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt", DF_2021)
    for number, line in enumerate(DF_2021):
        part = root / f"ASVspoof2021_DF_eval_part0{number % 2}" / "ASVspoof2021_DF_eval"
        write_audio(part / "flac" / f"{line.split()[1]}.flac")


def make_asvspoof5(root: Path) -> None:
    """Lists and folders as they are unpacked."""
    names = {"train": "train", "dev": "dev.track_1", "eval": "eval.track_1"}
    folders = {"train": "flac_T", "dev": "flac_D", "eval": "flac_E_eval"}
    for split, lines in ASVSPOOF5.items():
        write_lines(root / f"ASVspoof5.{names[split]}.tsv", lines)
        write_audio(*(root / folders[split] / f"{line.split()[1]}.flac" for line in lines))


def make_in_the_wild(root: Path) -> None:
    """The folder that the archive has, below the root."""
    inner = root / "release_in_the_wild"
    write_audio(*(inner / f"{number}.wav" for number in range(3)))
    (inner / "meta.csv").write_text(IN_THE_WILD)


def make_mlaad(root: Path) -> None:
    """Two systems in two languages, and M-AILABS in `M_AILABS`; a table names another folder, as some really do."""
    for language, system, written, text in (
        ("de", "tts_models_de_vits", "./fake/de/tts_models_de_vits", 'Er sagte: "Ja'),
        ("zh-cn", "bark", "./fake/zh/bark", "one\nand more"),
    ):
        folder = root / "fake" / language / system
        write_audio(folder / f"{system}_1.wav")
        row = f"{written}/{system}_1.wav|de_DE/by_book/x.wav|{language}|True|3.2|data|models/{system}|vits|{text}"
        write_lines(folder / "meta.csv", [MLAAD_HEADER, row])
    books = root / M_AILABS / "de_DE" / "by_book"
    write_audio(books / "female" / "eva_k" / "book" / "wavs" / "book_1.wav", books / "mix" / "b" / "wavs" / "b_1.wav")


def make_wavefake(root: Path) -> None:
    """Three folders of vocoded speech, and both corpora that they are made of."""
    generated = root / "generated_audio"
    write_audio(
        generated / "ljspeech_melgan" / "LJ001-0001_gen.wav",
        generated / "jsut_multi_band_melgan" / "BASIC5000_0001_gen.wav",
        generated / "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech" / "gen_0.wav",
        root / "LJSpeech-1.1" / "wavs" / "LJ001-0001.wav",
        root / "jsut_ver1.1" / "basic5000" / "wav" / "BASIC5000_0001.wav",
    )


def make_manifest(root: Path) -> None:
    """Recordings with splits, in the words and the form of a spreadsheet."""
    rows = ["file;label;split;speaker;attack;device"]
    for number, split in enumerate(("train", "validation", "test")):
        for kind, attack in (("real", ""), ("fake", "tts, new"), ("fake", "")):
            path = root / "audio" / f"{split}-{kind}-{len(rows)}.wav"
            write_audio(path)
            rows.append(f"{path.relative_to(root)};{kind};{split};s{number};{attack};{('phone', '')[number % 2]}")
    write_lines(root / MANIFEST, rows)


FAKE_OR_REAL_PARTS = ("training", "validation", "testing")


def fake_or_real_tree(inner: Path, parts: tuple[str, ...] = FAKE_OR_REAL_PARTS, rate: int = 16000) -> Path:
    """Two files a class in every part; the same names everywhere, as in the real corpus."""
    for part in parts:
        for kind in ("real", "fake"):
            (inner / part / kind).mkdir(parents=True)
            for name in ("file2.wav", "file10.wav"):
                soundfile.write(inner / part / kind / name, np.zeros(rate // 100), rate)
    return inner
