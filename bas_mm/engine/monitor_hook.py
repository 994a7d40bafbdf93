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
    shrunk='The foreground maps creep away: their mean area fell from {start:.2%} '
    'after the warm-up to {area:.2%}, under a tenth. Lower `model.head.loss.beta`, '
    'raise `model.head.loss.alpha`, or train the classifier longer first '
    '(`bas_mm.ClsWarmupHook`).',
    alike='The foreground maps of a batch are alike (spread {spread:.3f}, 0 for the '
    'same map of every image): they say nothing of the image. Raise '
    '`model.head.loss.alpha`, lower `model.head.loss.beta`, or train the classifier '
    'longer first (`bas_mm.ClsWarmupHook`).',
    border='The border of the views is foreground (mean {border:.2f}, of the whole '
    'view {area:.2f}): the maps show the background, or all of the view. Raise '
    '`model.head.loss.beta`, lower the rate of the generator '
    '(`optim_wrapper.paramwise_cfg`), and look at grid.png.',
    saturated='The foreground maps saturate (mean area {area:.2%}). Raise '
    '`model.head.loss.beta`, or give the generator a smaller initialization '
    '(`model.head.init_cfg`) or rate (`optim_wrapper.paramwise_cfg`).',
)


@HOOKS.register_module()
class WSOLMonitorHook(Hook):
    """Warns where the training of a WSOL model collapses.

    Over each epoch it looks at what the training step gives (``loss_cls``,
    ``peak_logit``: the largest absolute logit, ``fg_area``: mean of the
    foreground map, ``fg_border`` and ``fg_spread``: see
    :func:`bas_mm.models.heads.bas_head.map_figures`) for seven ways to
    collapse; each warns once, with the likely cure: logits all zero,
    ``loss_cls`` at ln C (off by less than 1 % in the mean over the steps), maps
    that vanish (mean area under ``area[0]``), that shrink (under a tenth of the
    first step that has maps, which is after the warm-up), that saturate (over
    ``area[1]``), that are alike in a batch (spread under ``spread``), and views
    whose border is foreground (mean over ``border``, and more so than the
    view). The figures themselves are logged as the losses are.

    Args:
        interval: Not used any more: the interval of ``LoggerHook`` counts.
        grace: Steps from the start in which a loss at ln C is no cause for
            alarm.
        area: Bounds of a sound mean foreground area.
        spread: Least sound spread of the maps of a batch.
        border: Largest sound mean of the maps' border.
    """

    def __init__(
        self,
        interval: int = 10,
        grace: int = 50,
        area: Sequence[float] = (0.01, 0.95),
        spread: float = 0.1,
        border: float = 0.6,
    ) -> None:
        self.grace = grace
        self.area = area
        self.spread = spread
        self.border = border
        self._start: torch.Tensor | None = None
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
        if self._start is None and 'fg_area' in figures:
            self._start = figures['fg_area'].detach().float()
        for name in ('off_chance', 'peak_logit', 'fg_area', 'fg_border', 'fg_spread'):
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
        area, start = means.get('fg_area'), self._start_of(runner)
        border, spread = means.get('fg_border'), means.get('fg_spread')
        dead = means.get('peak_logit') == 0
        # every training starts at ln C: not before the rate has warmed up
        stuck = runner.iter + 1 >= self.grace and means['off_chance'] < 0.01 * chance
        if area is None:
            vanished = saturated = shrunk = outside = False
        else:
            vanished, saturated = area < self.area[0], area > self.area[1]
            shrunk = start is not None and area < start / 10
            outside = border is not None and border > max(self.border, area)
        lost = area is None or vanished or saturated
        for name, found in (
            ('dead', dead),
            ('chance', stuck and not dead),
            ('vanished', vanished),
            ('saturated', saturated),
            ('shrunk', not lost and shrunk),
            ('alike', not lost and spread is not None and spread < self.spread),
            ('border', not lost and outside),
        ):
            if found and name not in self._warned:
                self._warned.add(name)
                runner.logger.warning(
                    'Collapse in epoch %d: %s',
                    runner.epoch + 1,
                    CURES[name].format(
                        area=area, start=start, border=border, spread=spread
                    ),
                )

    def _start_of(self, runner: Runner) -> float | None:
        """Give the area of the first step with maps; a checkpoint keeps it."""
        hub = getattr(runner, 'message_hub', None)
        known = None if hub is None else hub.runtime_info.get('fg_area_start')
        if known is not None or self._start is None:
            return known
        start = float(self._start)
        if hub is not None:
            hub.update_info('fg_area_start', start)
        return start
