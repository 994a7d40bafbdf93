"""What a piece of work must compute, and how fast this machine can."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from bas_mm.analysis.arms import Stopwatch

#: Timed runs of each convolution, after one that is not.
RUNS = 3


class Flops(NamedTuple):
    """Floating point operations, two a multiply-add, or how many a second.

    Attributes:
        dense: Of convolutions and matrix products.
        depthwise: Of convolutions with a filter for each channel, whose rate is
            another one: they read as much as they compute.
    """

    dense: float
    depthwise: float

    @property
    def total(self) -> float:
        """Of both."""
        return self.dense + self.depthwise

    def seconds(self, rates: 'Flops') -> float:
        """Give the time that all of it takes at some rates.

        Args:
            rates: A second.

        Example:
            >>> Flops(4e9, 1e9).seconds(rates=Flops(2e9, 1e9))
            3.0
        """
        return self.dense / rates.dense + self.depthwise / rates.depthwise


def count_flops(work: Callable[[], Any]) -> Flops:
    """Count what convolutions and matrix products compute, backward too.

    Counted by torch from the shapes, but for convolutions: torch counts the
    gradients of grouped ones as if they had no groups.

    Args:
        work: Called once.

    Example:
        >>> count_flops(lambda: torch.ones(2, 3) @ torch.ones(3, 5)).dense
        60
    """
    depthwise = 0

    def count(weight: Sequence[int], cells: int, groups: int, passes: int) -> int:
        nonlocal depthwise
        flops = 2 * passes * cells * prod(weight)
        if groups > 1 and weight[1] == 1:
            depthwise += flops
            return 0
        return flops

    def forward(
        x: Any, weight: Any, bias: Any, *args: Any, out_shape: Any, **kwargs: Any
    ) -> int:
        *_, transposed, _, groups = args[:6]
        return count(weight, cells(x if transposed else out_shape), groups, 1)

    def backward(
        grad: Any, x: Any, weight: Any, bias: Any, *args: Any, **kwargs: Any
    ) -> int:
        *_, transposed, _, groups, mask = args[:7]
        return count(weight, cells(x if transposed else grad), groups, sum(mask[:2]))

    def cells(shape: Sequence[int]) -> int:
        return shape[0] * prod(shape[2:])

    aten: Any = torch.ops.aten
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten.convolution: forward,
            aten.convolution_backward: backward,
        },
    )
    with counter:
        work()
    return Flops(counter.get_total_flops(), depthwise)


def best_rates(
    device: torch.device, batch_size: int = 8, sizes: Sequence[int] = (14, 28, 56)
) -> Flops:
    """Measure the best rates at which this machine computes convolutions.

    Forward, in float32, as many channels as fit a map of each size in usual
    trunks, filters of 1x1 and 3x3, both layouts; the best of all.

    Args:
        device: Where.
        batch_size: Images at once.
        sizes: Heights of the maps, in cells.

    Returns:
        A second of :class:`Stopwatch`: of one core on a CPU.
    """
    found = {True: 0.0, False: 0.0}
    clock = Stopwatch(device)
    for size in sizes:
        channels = max(7168 // size, 1)
        for kernel in (1, 3):
            for layout in (torch.contiguous_format, torch.channels_last):
                x = torch.rand(batch_size, channels, size, size, device=device)
                x = x.contiguous(memory_format=layout)
                for depthwise in found:
                    if depthwise and kernel == 1:
                        continue
                    rate = _rate(clock, x, kernel, depthwise)
                    found[depthwise] = max(found[depthwise], rate)
    return Flops(found[False], found[True])


@torch.no_grad()
def _rate(clock: Stopwatch, x: torch.Tensor, kernel: int, depthwise: bool) -> float:
    channels = x.shape[1]
    weight = torch.rand(
        channels, 1 if depthwise else channels, kernel, kernel, device=x.device
    )
    weight = weight.contiguous(memory_format=torch.channels_last)
    groups = channels if depthwise else 1

    def work() -> None:
        F.conv2d(x, weight, padding=kernel // 2, groups=groups)

    flops = count_flops(work).total
    best = float('inf')
    for _ in range(RUNS):
        start = clock.read()
        work()
        best = min(best, clock.read() - start)
    return flops / best
