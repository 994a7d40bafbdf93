"""A warning where training collapses."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.models import count_classes

CURES = dict(
    dead='The logits are all zero: the ReLU at the end of the head has died. '
    'Lower the rate of the new layers (`optim_wrapper.paramwise_cfg`), start '
    'from pretrained weights (`model.backbone.init_cfg`), or set '
    '`model.head.final_relu=False`.',
    chance='`loss_cls` stayed at ln C, chance level, for an epoch: the '
    'classifier learns nothing. Start from pretrained weights '
    '(`model.backbone.init_cfg`) and check the learning rate '
    '(`optim_wrapper.optimizer.lr`) and the labels.',
    vanished='The foreground maps vanish (mean area {area:.2%}). Lower '
    '`model.head.loss.beta`, raise `model.head.loss.alpha`, or train the '
    'classifier alone first (`bas_mm.ClsWarmupHook` with more `epochs`).',
    saturated='The foreground maps saturate (mean area {area:.2%}). Raise '
    '`model.head.loss.beta`, or give the generator a smaller initialization '
    '(`model.head.init_cfg`) or rate (`optim_wrapper.paramwise_cfg`).',
)


@HOOKS.register_module()
class WSOLMonitorHook(Hook):
    """Warns where the training of a WSOL model collapses.

    Over each epoch it looks at what the training step gives (``loss_cls``,
    ``peak_logit``: the largest absolute logit, ``fg_area``: mean of the
    foreground map) for four ways to collapse; each warns once, with the likely
    cure: logits all zero, ``loss_cls`` at ln C (off by less than 1 % in the
    mean over the steps), maps that vanish (mean area under ``area[0]``), maps
    that saturate (over ``area[1]``). The figures themselves are logged as the
    losses are.

    Args:
        interval: Not used any more: the interval of ``LoggerHook`` counts.
        grace: Steps from the start in which a loss at ln C is no cause for
            alarm.
        area: Bounds of a sound mean foreground area.
    """

    def __init__(
        self,
        interval: int = 10,
        grace: int = 50,
        area: Sequence[float] = (0.01, 0.95),
    ) -> None:
        self.grace = grace
        self.area = area
        self._warned: set[str] = set()
        self._sums: dict[str, torch.Tensor] = {}
        self._steps = 0

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what was seen of the epoch, for a resume inside it."""
        sums = {name: value.cpu() for name, value in self._sums.items()}
        checkpoint['monitor'] = dict(
            warned=sorted(self._warned), sums=sums, steps=self._steps
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on from it, where a training is resumed."""
        seen = checkpoint.get('monitor')
        if seen is not None and runner._resume:
            device = next(runner.model.parameters()).device
            self._warned = set(seen['warned'])
            self._sums = {k: value.to(device) for k, value in seen['sums'].items()}
            self._steps = seen['steps']

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Add the figures of a step up, on the device; look at the epoch's end.

        Args:
            runner: The runner.
            batch_idx: Index of the step in its epoch.
            data_batch: Not used.
            outputs: What the training step gave.
        """
        if outputs is None or 'loss_cls' not in outputs:
            return
        chance = math.log(count_classes(runner.model))
        figures = dict(outputs, off_chance=(outputs['loss_cls'] - chance).abs())
        for name in ('off_chance', 'peak_logit', 'fg_area'):
            if name in figures:
                value = figures[name].detach().float()
                pair = torch.stack([value, torch.ones_like(value)])
                self._sums[name] = self._sums.get(name, 0) + pair
        self._steps += 1
        if self._steps == len(runner.train_dataloader):
            self._steps = 0
            table = torch.stack(list(self._sums.values())).cpu()  # the only sync
            means = dict(zip(self._sums, (table[:, 0] / table[:, 1]).tolist()))
            self._sums.clear()
            self._check(runner, means, chance)

    def _check(self, runner: Runner, means: Mapping[str, float], chance: float) -> None:
        """Warn of the collapses that an epoch's means show."""
        area = means.get('fg_area')
        dead = means.get('peak_logit') == 0
        # every training starts at ln C: not before the rate has warmed up
        stuck = runner.iter + 1 >= self.grace and means['off_chance'] < 0.01 * chance
        for name, found in (
            ('dead', dead),
            ('chance', stuck and not dead),
            ('vanished', area is not None and area < self.area[0]),
            ('saturated', area is not None and area > self.area[1]),
        ):
            if found and name not in self._warned:
                self._warned.add(name)
                runner.logger.warning(
                    'Collapse in epoch %d: %s',
                    runner.epoch + 1,
                    CURES[name].format(area=area),
                )
