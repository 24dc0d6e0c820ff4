"""Sites of the three models, and a trial whose answers are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spaces.shared import Budget, SiteInfo

RULES = ("random", "zero", "split", "gradmax")
CRITERIA = ("original", "magnitude", "taylor", "activation")


def budget_of(
    epochs: int,
    lr: float = 1e-3,
    batch_size: int = 32,
    optimizer: str = "adam",
    weight_decay: float = 0.0,
    clip: float = 0.0,
) -> Budget:
    """A budget that lets a space choose from `RULES` and `CRITERIA`."""
    return Budget(epochs, lr, batch_size, optimizer, weight_decay, clip, RULES, CRITERIA)


BUDGET = budget_of(12)
BRANCH_REFUSES = ("split", "gradmax")
"""Growth rules that cannot grow a branch."""


def _branch(name: str, depth: int, limit: int) -> SiteInfo:
    return SiteInfo(name, "branch", 0, depth, limit, refused_rules=BRANCH_REFUSES)


CHANNELS = {1: 16, 2: 32, 3: 64, 4: 128}
RESNET18 = [
    site
    for layer, width in CHANNELS.items()
    for site in (
        SiteInfo(f"layer{layer}.0", "inner", width, 2 * layer, removable=True),
        *([_branch(f"layer{layer}.branch", 2 * layer, width)] if layer in (2, 3) else []),
        SiteInfo(f"layer{layer}.1", "inner", width, 2 * layer + 1, removable=True),
    )
]
STREAMS = [SiteInfo(f"layer{n}.stream", "stream", width, 2 * n + 1, width) for n, width in CHANNELS.items()]
GRNN = [SiteInfo(f"gru.{layer}", "recurrent", width, layer) for layer, width in enumerate((64, 64, 32, 32))]


def wav2vec2(layers: int, feed_forward: int, heads: int = 4) -> list[SiteInfo]:
    """The sites of an encoder; a branch is one neuron, there or not."""
    return [
        site
        for layer in range(layers)
        for site in (
            SiteInfo(f"encoder.{layer}.heads", "heads", heads, 2 * layer, removable=True),
            _branch(f"encoder.{layer}.branch", 2 * layer, 1),
            SiteInfo(f"encoder.{layer}.ff", "inner", feed_forward, 2 * layer + 1, removable=True),
        )
    ]


class Answers:
    """A trial that answers from a table, else with the lowest value or the first choice."""

    def __init__(self, **answers: int | float | str) -> None:
        self.answers: Mapping[str, int | float | str] = {k.replace("__", "."): v for k, v in answers.items()}

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """The answer."""
        return int(self.answers.get(name, low))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """The answer."""
        return float(self.answers.get(name, low))

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """The answer."""
        return str(self.answers.get(name, choices[0]))
