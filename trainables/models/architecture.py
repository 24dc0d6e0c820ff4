"""An architecture: a model's name, its configuration and the widths of its sites. Plain data that builds a module."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trainables import models
from trainables.errors import DropinError
from trainables.models.bounds import MOST_GROUPS, MOST_NEURONS, is_count
from trainables.models.chain import Chain
from trainables.models.site import Site

FILLS = (torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.fill_, torch.Tensor.zero_)
Widths = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """What to build.

    Attributes:
        model: a name of ``trainables.models.NAMES``.
        config: the model's own settings, complete (see ``resolve`` of the model's file); JSON types only.
        widths: for every site the width of each of its groups, oldest first; ``()`` for an absent branch.
    """

    model: str
    config: Mapping[str, Any]
    widths: Widths

    @classmethod
    def create(cls, model: str, options: Mapping[str, Any]) -> Architecture:
        """The base architecture of a model: options checked and completed, one group per site.

        Raises:
            DropinError: unknown model, unknown option or a value out of range.
        """
        module = models.load(model)
        config = module.resolve(options)
        return cls(model, config, module.base_widths(config))

    def build(self) -> Chain:
        """A freshly initialised module: ``forward(x) -> logits [batch, 2]``, column 1 for bona fide."""
        module: Chain = models.load(self.model).build(self.config, self.widths)
        return module

    def sites(self) -> dict[str, Site]:
        """The sites by name, in order of depth."""
        return {site.name: site for site in models.load(self.model).sites(self.config, self.widths)}

    def total_widths(self) -> dict[str, int]:
        """Neurons per site, all groups together."""
        return {name: sum(groups) for name, groups in self.widths.items()}

    def keys(self) -> tuple[str, ...]:
        """Names of the state dict, in the module's own order, which groups added or removed do not change."""
        # Names depend on how many groups there are, not on how wide they are.
        narrow = {name: (1,) * len(groups) for name, groups in self.widths.items()}
        return _keys(Architecture(self.model, self.config, narrow).to_json())

    def size(self) -> int:
        """Number of parameters, counted on the module itself (built without memory on the meta device)."""
        return _size(self.to_json())

    def check_shapes(self, state: Mapping[str, Tensor]) -> None:
        """Make sure that weights are those of this architecture, without taking memory for it.

        Raises:
            DropinError: names or shapes differ.
        """
        expected = {key: tuple(value.shape) for key, value in _shell(self.to_json()).state_dict().items()}
        found = {key: tuple(value.shape) for key, value in state.items()}
        wrong = sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key))
        if wrong:
            raise DropinError(
                f"weights must have the names and shapes of their architecture; {len(wrong)} differ, the first is "
                f"{wrong[0]!r} with {found.get(wrong[0])} for {expected.get(wrong[0])}"
            )

    def replace_widths(self, changed: Widths) -> Architecture:
        """The same architecture with other widths at some sites."""
        return Architecture(self.model, self.config, {**self.widths, **changed})

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal architecture."""
        return json.dumps({"model": self.model, "config": self.config, "widths": self.widths}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The inverse of `to_json`. It depends on nothing but the text, whatever that is, and takes little memory.

        Raises:
            DropinError: not an architecture, or one that its model refuses.
        """
        try:
            data = json.loads(text)
            widths = {name: tuple(groups) for name, groups in data["widths"].items()}
            model, given = data["model"], data["config"]
            complete = models.load(model).resolve({})
            # A model may look up what is missing in a file or on a network.
            if set(given) != set(complete) or None in given.values():
                raise DropinError(f"config must be complete, with {', '.join(complete)}; got {', '.join(given)}")
            config = models.load(model).resolve(given)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, RecursionError) as error:
            raise DropinError(f"not an architecture (model, config, widths as JSON): {error!r}") from error
        expected = set(models.load(model).base_widths(config))
        if set(widths) != expected:
            raise DropinError(
                f"widths must name the sites of {model}; missing or too many: {sorted(set(widths) ^ expected)[:5]}"
            )
        made = cls(model, config, widths)
        made._check_widths()
        return made

    def _check_widths(self) -> None:
        for name, groups in self.widths.items():
            if len(groups) > MOST_GROUPS or not all(map(is_count, groups)):
                raise DropinError(
                    f"widths of {name} must be at most {MOST_GROUPS} whole numbers from 1 to {MOST_NEURONS}; got "
                    f"{str(groups)[:80]}"
                )
        for name, site in self.sites().items():
            if not site.groups and not site.removable:
                raise DropinError(f"{name} must keep at least 1 neuron: what follows reads nothing else")
            if site.limit is not None and site.width > site.limit:
                raise DropinError(f"{name} takes at most {site.limit} neurons; got {site.width}")


# A plan asks for the same few architectures again and again, and a module takes tens of milliseconds to build.
@functools.lru_cache(maxsize=256)
def _keys(architecture: str) -> tuple[str, ...]:
    return tuple(_shell(architecture).state_dict())


@functools.lru_cache(maxsize=4096)
def _size(architecture: str) -> int:
    return sum(parameter.numel() for parameter in _shell(architecture).parameters())


class _Uninitialised(TorchFunctionMode):
    """Within it tensors are not filled with values, which takes most of the time of building a module."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        if function in FILLS:
            return arguments[0]
        return function(*arguments, **(named or {}))


def _shell(architecture: str) -> Chain:
    """The module without memory and without initial values."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _Uninitialised():
        return Architecture.from_json(architecture).build()
