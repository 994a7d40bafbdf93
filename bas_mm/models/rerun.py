"""The trunk and the head again, on other features."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from bas_mm.models.necks.split_neck import Pass, SplitNeck
from bas_mm.structures import Acts

#: From a mask of the views, ``(B, 1, H, W)``, to the logits ``(B, C)`` of another
#: network, whose weights are constants, for the masked views.
Judge = Callable[[torch.Tensor], torch.Tensor]


class Rerun:
    """Runs the trunk, from one of its stages, and the head a second time.

    Args:
        neck: The neck.
        head: Features to activations.
        inputs: The views of the first pass, ``(B, 3, H, W)``.
        first: The first pass.
        judge: What another network says of masked views.

    Attributes:
        inputs: The views of the first pass.
    """

    def __init__(
        self,
        neck: SplitNeck,
        head: Callable[[Sequence[torch.Tensor]], Acts],
        inputs: torch.Tensor,
        first: Pass,
        judge: Judge | None = None,
    ) -> None:
        self.neck = neck
        self.head = head
        self.inputs = inputs
        self.first = first
        self._judge = judge

    def judge(self, mask: torch.Tensor) -> torch.Tensor:
        """Ask the other of two networks what is in the masked views.

        Args:
            mask: Values of 0 to 1, ``(B, 1, H, W)``; gradient reaches it.

        Returns:
            Logits, ``(B, C)`` float32; the weights are constants.

        Raises:
            ValueError: If there is no other network.
        """
        if self._judge is None:
            raise ValueError(
                f'{type(self.head).__name__} learns from what a trained classifier '
                'says of masked views: make it the `localizer` of '
                "`model=dict(type='bas_mm.TwoNetworks', localizer=..., "
                'classifier=...)`.'
            )
        return self._judge(mask)

    def __call__(self, feat: torch.Tensor, frozen: bool, stage: int = -1) -> Acts:
        """Run from a stage.

        Args:
            feat: Features at the stage, ``(B, N, h, w)``; views for stage 0.
            frozen: Take the weights of this step as constants: gradient
                reaches ``feat`` and no weight, and BatchNorm, which uses the
                statistics of this batch in training, leaves its running
                statistics alone. Nothing is copied but these.
            stage: -1 is ``F``, 0 the views, 1 and up the taps, see
                :meth:`SplitNeck.stage_index`.

        Returns:
            The activations. Features before the stage are those of the first
            pass, as constants if frozen.
        """
        if not frozen:
            return self.head(self.neck.run(feat, stage, self.first).feats)
        first = self.first.detach()
        layers = self.neck.steps()[self.neck.stage_index(stage) :]
        return frozen_call(
            [*layers, self.head],
            lambda: self.head(self.neck.run(feat, stage, first).feats),
        )


def frozen_call(modules: Sequence[Any], function: Callable[[], Any]) -> Any:
    """Call a function while the weights of modules are constants.

    No copy of a module is made and no gradient of a weight: the function sees
    their parameters detached and clones of their buffers.

    Args:
        modules: Modules that the function runs; others are passed over.
        function: What to call.

    Returns:
        What the function returns.
    """
    holder = _Holder([m for m in modules if isinstance(m, nn.Module)], function)
    frozen = {name: p.detach() for name, p in holder.named_parameters()}
    frozen.update((name, b.clone()) for name, b in holder.named_buffers())
    with _without_checkpointing(holder):
        return functional_call(holder, frozen, ())


@contextmanager
def _without_checkpointing(module: nn.Module) -> Iterator[None]:
    """Keep activations: what is computed again in the backward pass is not frozen."""
    found = [
        (one, name)
        for one in module.modules()
        for name in ('with_cp', 'memory_efficient')
        if getattr(one, name, False) is True
    ]
    try:
        for one, name in found:
            setattr(one, name, False)
        yield
    finally:
        for one, name in found:
            setattr(one, name, True)


class _Holder(nn.Module):
    """Gives the modules names, so that their tensors can be replaced."""

    def __init__(self, modules: Sequence[nn.Module], function: Callable) -> None:
        super().__init__()
        self.held = nn.ModuleList(modules)
        self.function = function

    def forward(self) -> Any:
        return self.function()
