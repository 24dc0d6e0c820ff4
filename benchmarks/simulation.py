"""Trials without workers: beneath Tune's own actor manager a virtual clock takes the place of Ray's core.

Everything above is the real driver: Tune's controller and actor manager, this project's searcher, study, trial log,
watcher and display. Actors are trainables in this process, whose methods return at once; what they return arrives at
the virtual time at which a worker would have it ready. While the driver computes, the clock runs on by the processor
time that it takes, files that it syncs included; while the driver waits, the clock jumps to the next event. So workers
wait for the driver as they would.

What the core itself would take of the driver's time, to submit a task, wait for one of many and fetch what it returned,
is measured with a real actor (`Toll`) and added.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import ray
from ray.air.execution._internal import actor_manager, event_manager
from ray.air.execution.resources import AcquiredResources, ResourceManager, ResourceRequest
from ray.tune.execution import tune_controller

from search.running import tune_callback


class Clock:
    """Virtual seconds since the beginning.

    Attributes:
        driver: how many of them the driver was at work.
    """

    def __init__(self) -> None:
        """Begin at 0, with the driver at work."""
        self._now = self.driver = 0.0
        self._jumps: list[tuple[float, float]] = []
        self._since: float | None = time.thread_time()

    def now(self) -> float:
        """What the clock shows."""
        return self._now + (0.0 if self._since is None else time.thread_time() - self._since)

    def work(self, seconds: float) -> None:
        """Let the driver be at work for some seconds that its processor did not see."""
        self._now += seconds
        self.driver += seconds

    def jump(self, to: float) -> None:
        """Let the driver wait until then."""
        if to > self._now:
            self._jumps.append((self._now, to))
            self._now = to

    def between(self, begin: float, end: float) -> float:
        """How much of that time the driver was at work."""
        return end - begin - sum(max(0.0, min(to, end) - max(since, begin)) for since, to in self._jumps)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within it, what is computed takes no virtual time: it is the simulation's own."""
        assert self._since is not None, "it is stopped already"
        self.work(time.thread_time() - self._since)
        self._since = None
        try:
            yield
        finally:
            self._since = time.thread_time()


@dataclass(frozen=True)
class Toll:
    """Seconds of the driver's time that Ray's core takes.

    Attributes:
        submit: to submit a task.
        wait: to wait for one of all tasks that are pending.
        get: to fetch what it returned.
    """

    submit: float = 0.0
    wait: float = 0.0
    get: float = 0.0

    @classmethod
    def measured(cls, pending: int, value: object, repeats: int = 30) -> Toll:
        """Medians with a real actor that returns `value` while so many other tasks are pending. Needs Ray."""

        class Echo:  # in here, so that Ray sends it along: workers may not find this file
            def give(self, value: object) -> object:
                return value

            def block(self) -> None:
                time.sleep(3600)

        deployed: Any = ray.remote(num_cpus=0)(Echo)
        echo, blocked = deployed.remote(), deployed.remote()
        stored = ray.put(value)
        ray.get(echo.give.remote(stored))
        blocked.block.remote()
        others = [blocked.give.remote(None) for _ in range(pending)]
        spent = []
        for _ in range(repeats):
            moments = [time.thread_time()]
            task = echo.give.remote(stored)
            moments.append(time.thread_time())
            ray.wait([task])
            tasks = random.sample([task, *others], pending + 1)
            moments.append(time.thread_time())
            ray.wait(tasks, num_returns=1, timeout=0.1)
            moments.append(time.thread_time())
            ray.get(task)
            moments.append(time.thread_time())
            spent.append((moments[1] - moments[0], moments[3] - moments[2], moments[4] - moments[3]))
        for actor in (echo, blocked):
            ray.kill(actor)
        return cls(*(statistics.median(own) for own in zip(*spent, strict=True)))


@dataclass(eq=False)  # as quick to hash as a reference of Ray's, since the driver's time is measured
class Task:
    """What an actor was asked to do: when it is done, and what then comes of it."""

    done: float
    value: Any


@dataclass
class Actor:
    """A worker: carries out one task after the other.

    Attributes:
        free: when it has done all that it was asked to.
    """

    core: Core
    trainable: Any
    free: float = 0.0

    def __getattr__(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda *arguments, **named: self.core.submit(self, name, arguments, named))


class Core:
    """What the actor manager takes for the module ``ray``.

    Attributes:
        clock: the virtual clock.
        trained: of every ``train`` when it began, when it ended, and whether it was a trial's first.
    """

    def __init__(self, clock: Clock, toll: Toll, seconds: Callable[[str, Any], float]) -> None:
        """Charge `toll` and let tasks take ``seconds(method, value)``; ``start`` is an actor's start."""
        self.clock, self._toll, self._seconds = clock, toll, seconds
        self.trained: list[tuple[float, float, bool]] = []
        self.actor, self.ObjectRef = SimpleNamespace(ActorClass=_Deployed), Task
        self._numbers = itertools.count()
        self._coming: list[tuple[float, int, Task]] = []

    def deploy(self, trainable: type) -> _Deployed:
        """A class whose instances are actors."""
        return _Deployed(self, trainable)

    def submit(self, actor: Actor, method: str, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
        """Ask an actor to do something; what it will return is known at once, and kept until it is time."""
        with self.clock.stopped():
            self.clock.work(self._toll.submit)
            own = getattr(actor.trainable, method, None)
            value: Any = own(*arguments, **named) if own is not None else None
            if method == "get_auto_filled_metrics":
                return value  # Tune keeps it beside the trial and never waits for it
            kind = "start" if method == "__ray_ready__" else method
            begin = max(self.clock.now(), actor.free)
            actor.free = begin + self._seconds(kind, value)
            if method == "train":
                self.trained.append((begin, actor.free, bool(value) and value["training_iteration"] == 1))
            task = Task(actor.free, value)
            heapq.heappush(self._coming, (task.done, next(self._numbers), task))
            return task

    def wait(self, tasks: Sequence[Task], num_returns: int, timeout: float | None) -> tuple[list[Task], list[Task]]:
        """One of these tasks that is done, any of them as Ray's own; the clock jumps where none is yet."""
        assert num_returns == 1
        with self.clock.stopped():
            self.clock.work(self._toll.wait)
            wanted = set(tasks)
            while self._coming and self._coming[0][2] not in wanted:
                heapq.heappop(self._coming)  # done, or nobody waits for it any more
            until = float("inf") if timeout is None else self.clock.now() + timeout
            if not self._coming or self._coming[0][0] > until:
                self.clock.jump(until)
                return [], list(tasks)
            self.clock.jump(self._coming[0][0])
            ready = next(task for task in tasks if task.done <= self.clock.now())
            return [ready], [task for task in tasks if task is not ready]

    def get(self, task: Task) -> Any:
        """What a task returned."""
        self.clock.work(self._toll.get)
        return task.value

    def kill(self, actor: Actor) -> None:
        """Nothing is left to end."""


@dataclass(frozen=True)
class _Deployed:
    core: Core
    trainable: type

    def options(self, **named: Any) -> _Deployed:
        return self

    def remote(self, **named: Any) -> Actor:
        with self.core.clock.stopped():
            return Actor(self.core, self.trainable(**named), self.core.clock.now())


class Workers(ResourceManager):
    """So many equal workers, each of which holds one trial, at once and for nothing."""

    def __init__(self, count: int) -> None:
        """All free."""
        self._free, self._asked = count, Counter[ResourceRequest]()

    def request_resources(self, resource_request: ResourceRequest) -> None:
        """Note that a worker is wanted."""
        self._asked[resource_request] += 1

    def cancel_resource_request(self, resource_request: ResourceRequest) -> None:
        """Note that it is not."""
        self._asked[resource_request] -= 1

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        """Whether one that was asked for is there."""
        return self._free > 0 < self._asked[resource_request]

    def acquire_resources(self, resource_request: ResourceRequest) -> AcquiredResources | None:
        """Take one."""
        if not self.has_resources_ready(resource_request):
            return None
        self._free -= 1
        self._asked[resource_request] -= 1
        return _Worker(resource_request)

    def free_resources(self, acquired_resource: AcquiredResources) -> None:
        """Give one back."""
        self._free += 1

    def clear(self) -> None:
        """Forget what was asked for."""
        self._asked.clear()


class _Worker(AcquiredResources):
    def _annotate_remote_entity(self, entity: Any, bundle: dict[str, float], bundle_index: int) -> Any:
        return entity


@contextmanager
def simulated(workers: int, toll: Toll, seconds: Callable[[str, Any], float]) -> Iterator[Core]:
    """Within it, Tune runs trials on virtual workers.

    Args:
        workers: how many.
        toll: what Ray's core takes of the driver's time.
        seconds: what a method of a trainable takes on a worker, from its name and what it returned; ``start`` is what
            a new worker takes.
    """
    core = Core(Clock(), toll, seconds)
    sync = os.fsync

    def fsync(file: int) -> None:
        began, processor = time.perf_counter(), time.thread_time()
        sync(file)
        core.clock.work(time.perf_counter() - began - (time.thread_time() - processor))

    with ExitStack() as replaced:
        for module in (actor_manager, event_manager):
            replaced.enter_context(mock.patch.object(module, "ray", core))
        deploy = SimpleNamespace(get=core.deploy)
        for name, made in (("PlacementGroupResourceManager", Workers(workers)), ("_ActorClassCache", deploy)):
            replaced.enter_context(mock.patch.object(tune_controller, name, return_value=made))
        replaced.enter_context(mock.patch.object(tune_callback, "time", SimpleNamespace(monotonic=core.clock.now)))
        replaced.enter_context(mock.patch.object(os, "fsync", fsync))
        yield core
