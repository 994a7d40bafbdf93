"""Ways to do one thing, timed beside each other."""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from bas_mm.analysis.cost import MIB, WARM_UP, count_bytes, peak_on


class ArmTime(NamedTuple):
    """What one of the ways takes.

    Attributes:
        name: Which.
        batch_size: Images at once.
        seconds: Median time of a batch: of the process on a CPU, else on the clock.
        parts: Names to shares of the time, 0 to 1.
        memory: Peak, in MiB: weights, and all that is computed; None where it cannot
            be measured.
    """

    name: str
    batch_size: int
    seconds: float
    parts: dict[str, float]
    memory: float | None


class Stopwatch:
    """Says what the parts of some work take.

    Args:
        device: Where it works.

    Attributes:
        seconds: Names to what each took, added up.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def read(self) -> float:
        """Give the time, in seconds, once all that was begun has ended."""
        if self.device.type == 'cpu':
            return time.process_time()
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens as a part."""
        start = self.read()
        try:
            yield
        finally:
            self.seconds[name] += self.read() - start

    @contextmanager
    def over(self, owner: Any, **parts: str) -> Iterator[None]:
        """Count methods of an object as parts, by their names."""
        before = {name: vars(owner).get(name) for name in parts}
        for name, part in parts.items():
            owner.__dict__[name] = self._timed(part, getattr(owner, name))
        try:
            yield
        finally:
            for name, method in before.items():
                if method is None:
                    del owner.__dict__[name]
                else:
                    owner.__dict__[name] = method

    def _timed(self, part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return method(*args, **kwargs)

        return timed


#: Does the work once, and says what its parts take.
Work = Callable[[Stopwatch], Any]


def time_arms(
    arms: Mapping[str, Work],
    rounds: int,
    batch_size: int,
    device: torch.device,
    weights: Iterable[torch.Tensor],
) -> list[ArmTime]:
    """Time ways to do one thing; they alternate: what slows one slows all.

    Args:
        arms: Names to what is called.
        rounds: Timed calls of each.
        batch_size: Images of a call.
        device: Where they work.
        weights: Of the model.

    Raises:
        ValueError: If ``rounds`` is below 1.
    """
    if rounds < 1:
        raise ValueError(f'At least 1 step must be timed (--steps), got {rounds}.')
    held = count_bytes(weights, device)
    watches = {name: Stopwatch(device) for name in arms}
    times = defaultdict(list)
    for step in range(WARM_UP + rounds):
        for name, work in arms.items():
            if step == WARM_UP:
                watches[name].seconds.clear()
            start = watches[name].read()
            work(watches[name])
            times[name].append(watches[name].read() - start)
    found = []
    for name, work in arms.items():
        timed = times[name][WARM_UP:]
        peak = peak_on(device, functools.partial(work, Stopwatch(device)))
        found.append(
            ArmTime(
                name=name,
                batch_size=batch_size,
                seconds=float(np.median(timed)),
                parts={k: v / sum(timed) for k, v in watches[name].seconds.items()},
                memory=None if peak is None else (held + peak) / MIB,
            )
        )
    return found
