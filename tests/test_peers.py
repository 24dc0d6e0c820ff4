"""The script that the search is compared with does the same work: data, network, schedule, freezing, EER."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import soundfile
import torch

import project_file
import spaces
from answers import budget_of
from search.tuning.space_check import site_infos
from trainables.audio.reading import read_audio
from trainables.features import log_mel
from trainables.features.segment import segment
from trainables.metrics.eer import eer
from trainables.models.architecture import Architecture
from trainables.trial.plan import Plan

WIDTH, EPOCHS = 8, 5
ARCH = Architecture.create("resnet18", {"width": WIDTH})


@pytest.fixture(scope="module")
def scripts() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The peer and the script that compares with it."""
    folder = project_file.ROOT / "benchmarks"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.syspath_prepend(str(folder / "peers"))
        yield importlib.import_module("plain_ray_tune"), importlib.import_module("trials_an_hour")


@pytest.fixture(scope="module")
def script(scripts: tuple[ModuleType, ModuleType]) -> ModuleType:
    return scripts[0]


@pytest.fixture(scope="module")
def peer(scripts: tuple[ModuleType, ModuleType]) -> SimpleNamespace:
    """What the script and its neighbours define."""
    parts = [importlib.import_module(name) for name in ("plain_detector", "plain_plan")]
    return SimpleNamespace(**{name: value for part in parts for name, value in vars(part).items()})


@pytest.fixture(scope="module")
def benchmark(scripts: tuple[ModuleType, ModuleType]) -> ModuleType:
    return scripts[1]


@pytest.fixture(scope="module")
def plans(benchmark: ModuleType) -> list[tuple[Plan, dict[str, Any]]]:
    """Plans of both spaces as we read them and as the peer does."""
    sites = site_infos(ARCH)
    budget = budget_of(EPOCHS)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [spaces.load(name).space(study.ask(), sites, budget) for name in spaces.names() for _ in range(40)]
    drawn = [benchmark.limited(plan) for plan in drawn]
    return [(Plan.from_config(plan, ARCH), benchmark.peer_plan(plan, 0)) for plan in drawn]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve utterances in the tree of ASVspoof 2019 LA, shorter and longer than the segments."""
    root = tmp_path_factory.mktemp("tree")
    noise = np.random.default_rng(0)
    protocols = root / "LA" / "ASVspoof2019_LA_cm_protocols"
    protocols.mkdir(parents=True)
    for split, suffix in (("train", "train.trn"), ("dev", "dev.trl")):
        folder = root / "LA" / f"ASVspoof2019_LA_{split}" / "flac"
        folder.mkdir(parents=True)
        lines = []
        for i in range(6):
            name, attack, key = f"LA_{split}_{i}", *(("-", "bonafide"), ("A01", "spoof"))[i % 2]
            fading = np.geomspace(0.3, 3e-3, 20000 + 15000 * i)
            soundfile.write(folder / f"{name}.flac", fading * noise.standard_normal(len(fading)).clip(-3, 3), 16000)
            lines.append(f"LA_0001 {name} - {attack} {key}\n")
        (protocols / f"ASVspoof2019.LA.cm.{suffix}.txt").write_text("".join(lines))
    return root


def widths_by_epoch(peer: SimpleNamespace, plan: dict[str, Any]) -> list[dict[str, int]]:
    widths = grown = peer.base_widths(WIDTH)
    found = []
    for epoch in range(plan["epochs"]):
        add, targets = peer.growth_at(plan, epoch), peer.cut_at(plan, epoch, grown)
        if add:
            widths = grown = {site: widths.get(site, 0) + add.get(site, 0) for site in {**widths, **add}}
        widths = {**widths, **targets}
        found.append(widths)
    return found


def test_it_has_the_widths_of_the_plan_in_every_epoch(peer: SimpleNamespace, plans: list[Any]) -> None:
    for ours, theirs in plans:
        expected = [stage.arch.total_widths() for stage in ours.stages for _ in range(stage.epochs)]
        found = widths_by_epoch(peer, theirs)
        assert [{s: w for s, w in widths.items() if w} for widths in expected] == [
            {s: w for s, w in widths.items() if w} for widths in found
        ]
        once = all(len(groups) < 2 for groups in ours.final.widths.values())
        if once:  # a branch that grew twice is two blocks here and one there
            assert peer.size_of(peer.ResNet18(WIDTH, found[-1])) == ours.final.size()


def test_its_learning_rates_are_the_plans(peer: SimpleNamespace, plans: list[Any]) -> None:
    for ours, theirs in plans:
        assert [peer.learning_rate(theirs, epoch) for epoch in range(EPOCHS)] == pytest.approx(ours.learning_rates())


def test_plans_that_it_cannot_carry_out_are_refused(benchmark: ModuleType, plans: list[Any]) -> None:
    with pytest.raises(ValueError, match="plain Adam"):
        benchmark.peer_plan({**plans[0][0].config, "restarts": [1]}, 0)


@pytest.mark.parametrize("number", [0, 5])
def test_it_hears_what_we_hear(peer: SimpleNamespace, tree: Path, number: int) -> None:
    split = peer.Utterances(tree, "dev", keep=True)
    samples = 4 * 16000
    expected = log_mel.transform(segment(read_audio(split.files[number]), samples))
    for _ in range(2):  # the second time from memory
        x, label = split[number]
        assert label == 1 - number % 2
        np.testing.assert_allclose(x.numpy(), expected, atol=1e-3)


def test_its_eer_is_ours(peer: SimpleNamespace) -> None:
    noise = np.random.default_rng(0)
    for _ in range(50):
        scores, labels = noise.integers(0, 12, 40).astype(float), noise.integers(0, 2, 40)
        labels[:2] = 0, 1
        expected, _ = eer(scores[labels == 1], scores[labels == 0])
        assert peer.equal_error_rate(scores, labels) == pytest.approx(expected)


def test_growth_keeps_and_cutting_gives_back(peer: SimpleNamespace) -> None:
    torch.manual_seed(0)
    base = peer.ResNet18(WIDTH, peer.base_widths(WIDTH)).eval()
    x = torch.randn(2, 1, 64, 32)
    grown = peer.grow(base, {"layer2.1": 3, "layer2.branch": 4, "layer3.0": 5}, "zero").eval()
    torch.testing.assert_close(grown(x), base(x))
    wide = peer.grow(base, {"layer1.0": 3, "layer4.1": 2}, "random").eval()
    assert not torch.allclose(wide(x), base(x))
    keep = {site: peer.strongest(wide, site, base.widths[site], "original") for site in ("layer1.0", "layer4.1")}
    torch.testing.assert_close(peer.cut(wide, keep).eval()(x), base(x))


def test_what_is_frozen_computes_the_same_in_training(peer: SimpleNamespace) -> None:
    torch.manual_seed(0)
    base, x = peer.ResNet18(WIDTH, peer.base_widths(WIDTH)), torch.randn(4, 1, 64, 32)
    base.train()(x)  # statistics of their own
    grown = peer.grow(base, {"layer1.1": 2, "layer2.branch": 3, "layer4.0": 5}, "zero")
    peer.freeze(grown, base.state_dict(), "new")
    torch.testing.assert_close(grown.train()(x), base.eval()(x))


def test_cutting_what_nobody_reads_keeps_the_function(peer: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model, x = peer.ResNet18(WIDTH, peer.base_widths(WIDTH)).eval(), torch.randn(2, 1, 64, 32)
    keep = torch.tensor([0, 2, 3, 6])
    with torch.no_grad():
        model.layer1[1].conv2.weight[:, [1, 4, 5, 7]] = 0
    torch.testing.assert_close(peer.cut(model, {"layer1.1": keep}).eval()(x), model(x))


def test_removing_a_block_leaves_its_shortcut(peer: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model, x = peer.ResNet18(WIDTH, peer.base_widths(WIDTH)).eval(), torch.randn(2, 1, 64, 32)
    with torch.no_grad():
        for block in (model.layer1[1], model.layer3[0]):
            block.bn2.weight.zero_()  # what goes through the block is nothing
    none = torch.zeros(0, dtype=torch.long)
    smaller = peer.cut(model, {"layer1.1": none, "layer3.0": none}).eval()
    torch.testing.assert_close(smaller(x), model(x))
    ours = ARCH.replace_widths({"layer1.1": (), "layer3.0": ()})
    assert peer.size_of(smaller) == ours.size()


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_cutting_a_silent_part_of_a_stream_keeps_the_function(peer: SimpleNamespace, layer: int) -> None:
    torch.manual_seed(0)
    model, x = peer.ResNet18(WIDTH, peer.base_widths(WIDTH)), torch.randn(4, 1, 64, 32)
    model = peer.grow(model, {"layer2.branch": 3, "layer3.branch": 4}, "random")
    model.train()(x)
    site = f"layer{layer}.stream"
    keep = torch.arange(0, model.widths[site], 2)
    with torch.no_grad():
        for name in peer.writers(layer):
            for part in ("weight", "bias"):
                if (parameter := dict(model.named_parameters()).get(f"{name}.{part}")) is not None:
                    parameter[1::2] = 0
    smaller = peer.cut(model, {site: keep})
    torch.testing.assert_close(smaller.eval()(x), model.eval()(x))
    grown = ARCH.replace_widths({"layer2.branch": (3,), "layer3.branch": (4,), site: (len(keep),)})
    assert peer.size_of(smaller) == grown.size()


def test_magnitude_keeps_large_weights(peer: SimpleNamespace) -> None:
    model = peer.ResNet18(WIDTH, peer.base_widths(WIDTH))
    with torch.no_grad():
        model.layer1[0].conv1.weight[[1, 4]] *= 100
        model.layer2[1].conv2.weight[[0, 3]] *= 100
    assert peer.strongest(model, "layer1.0", 2, "magnitude").tolist() == [1, 4]
    assert peer.strongest(model, "layer2.stream", 2, "magnitude").tolist() == [0, 3]


@pytest.mark.parametrize("train", ["new", "new+head", "all"])
def test_what_is_frozen_stays(peer: SimpleNamespace, train: str) -> None:
    torch.manual_seed(0)
    base = peer.ResNet18(WIDTH, peer.base_widths(WIDTH))
    model = peer.grow(base, {"layer2.1": 3, "layer3.branch": 4}, "random")
    old = {name: value.clone() for name, value in base.state_dict().items()}
    optimizer = torch.optim.Adam(peer.freeze(model, old, train), lr=1e-2)
    batch = (torch.randn(4, 1, 64, 32), torch.tensor([0, 1, 0, 1]))
    peer.train_epoch(model, [batch, batch], optimizer, {"data": 0.0})
    changed = set()
    for name, parameter in model.named_parameters():
        if name in old and not torch.equal(parameter[tuple(slice(n) for n in old[name].shape)], old[name]):
            changed.add(name.split(".")[0])
    expected = {"new": set(), "new+head": {"fc"}, "all": {"stem", "layer1", "layer2", "layer3", "layer4", "fc"}}
    assert changed == expected[train]
    for name in ("layer1.0.bn1.running_mean", "layer2.1.bn1.running_var", "layer3.0.downsample.1.running_mean"):
        kept = model.state_dict()[name][: len(old[name])]
        assert torch.equal(kept, old[name]) == (train != "all")
    assert (model.layer2[1].bn1.running_var[-3:] != 1).all()


def test_what_it_suggests_is_a_plan(peer: SimpleNamespace) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for kind, _ in itertools.product(("dropin", "plasticity"), range(20)):
        trial = study.ask()
        peer.space(trial, kind, EPOCHS)
        plan = peer.plan_from(trial.params, {"width": WIDTH, "epochs": EPOCHS, "seed": 0})
        widths = widths_by_epoch(peer, plan)
        assert widths[0] != peer.base_widths(WIDTH) or plan["grow_epoch"] > 0
        assert widths[-1] != peer.base_widths(WIDTH)
        assert all(peer.learning_rate(plan, epoch) > 0 for epoch in range(EPOCHS))


@pytest.fixture
def trial(script: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Carries out a plan that is changed a little, and gives what it reports; the last with the detector's weights."""

    def run(**changed: Any) -> list[dict[str, Any]]:
        reported: list[dict[str, Any]] = []

        def report(metrics: dict[str, Any], checkpoint: Any = None) -> None:
            weights = torch.load(Path(checkpoint.path) / "detector.pt") if checkpoint else {}
            reported.append({**metrics, "weights": weights})

        monkeypatch.setattr(script.tune, "report", report)
        options = {"corpus_root": str(tree), "width": 4, "base_epochs": 1, "loader_workers": 0, "keep": True}
        plan = {
            **{"add": {"layer1.0": 2}, "init": "zero", "train": "all", "epochs": 4, "grow_epoch": 1, "grow_steps": 1},
            **{"prune_epoch": 2, "prune_steps": 2, "final": {"layer1.0": 3, "layer4.0": 8}, "criterion": "magnitude"},
            **{"rewind": False, "lr": 1e-3, "grow_lr": 1e-3, "recover_lr": 1e-4, "schedule": "cosine"},
        }
        script.carry_out({"plan": {**plan, "batch_size": 4, "seed": 0, **changed}}, options)
        return reported

    return run


def test_a_trial_from_end_to_end(peer: SimpleNamespace, trial: Callable[..., list[dict[str, Any]]]) -> None:
    reported = trial()
    sizes = [row["size"] for row in reported]
    final = {**peer.base_widths(4), "layer1.0": 3, "layer4.0": 8}
    assert [sizes[0], sizes[-1]] == [peer.size_of(peer.ResNet18(4, w)) for w in (peer.base_widths(4), final)]
    assert sizes[1] > sizes[0] > sizes[2] > sizes[3]
    assert reported[-1]["best_eer"] == reported[-1]["eer"]
    assert reported[-1]["seconds_data_base"] <= reported[-1]["seconds_base"]
    peer.ResNet18(4, final).load_state_dict(reported[-1]["weights"])


def test_rewinding_goes_back_to_the_weights_at_growth(
    script: ModuleType, trial: Callable[..., list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bases = []

    def train_base(*arguments: Any) -> Any:
        bases.append(peer_train_base(*arguments))
        return bases[-1]

    peer_train_base = script.train_base
    monkeypatch.setattr(script, "train_base", train_base)
    back = {"grow_epoch": 0, "final": {"layer1.0": 4}, "criterion": "original", "grow_lr": 0.01, "recover_lr": 1e-9}
    for rewind in (True, False):
        weights = trial(**back, rewind=rewind)[-1]["weights"]
        same = [torch.allclose(weights[name], value, atol=1e-5) for name, value in bases[-1].named_parameters()]
        assert all(same) == rewind
