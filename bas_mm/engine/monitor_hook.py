"""Figures of the training step in the log, and a warning on collapse."""

import math
from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from bas_mm.registry import HOOKS

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
    '`model.head.loss.beta`, or give the generator a smaller initialisation '
    '(`model.head.init_cfg`) or rate (`optim_wrapper.paramwise_cfg`).',
)


@HOOKS.register_module()
class WSOLMonitorHook(Hook):
    """Logs what a WSOL model says of its training step, warns on collapse.

    Figures of the model (``acc``: accuracy of the batch in percent,
    ``fg_area``: mean of the foreground map, ``bg_ratio``: S_bg / S) are added
    up on the device and read once for each ``interval``. Over each epoch
    four ways to collapse are looked for; each warns once, with the likely
    cure: logits all zero, ``loss_cls`` at ln C (off by less than 1 % in the
    mean over the steps), maps that vanish (mean area
    under ``area[0]``), maps that saturate (over ``area[1]``).

    Args:
        interval (int): Steps between two figures in the log. Defaults to 10.
        grace (int): Steps from the start in which a loss at ln C is no cause
            for alarm. Defaults to 50.
        area (tuple[float]): Bounds of a sound mean foreground area. Defaults
            to (0.01, 0.95).
    """

    def __init__(self, interval: int = 10, grace: int = 50, area=(0.01, 0.95)) -> None:
        self.interval = interval
        self.grace = grace
        self.area = area
        self._warned = set()
        self._sums: Dict[str, torch.Tensor] = {}
        self._epoch: Dict[str, torch.Tensor] = {}
        self._steps = 0

    @staticmethod
    def _add(sums: Dict[str, torch.Tensor], stats: Dict[str, torch.Tensor]) -> None:
        """Adds (value, 1) to the running sums, on the device."""
        for name, value in stats.items():
            value = value.detach().float()
            pair = torch.stack([value, torch.ones_like(value)])
            sums[name] = sums[name] + pair if name in sums else pair

    @staticmethod
    def _means(sums: Dict[str, torch.Tensor]) -> Dict[str, float]:
        """Reads the means (one sync) and starts anew."""
        if not sums:
            return {}
        table = torch.stack(list(sums.values())).cpu()
        means = dict(zip(sums, (table[:, 0] / table[:, 1]).tolist()))
        sums.clear()
        return means

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Adds the step's figures; logs at the interval, checks at the end."""
        stats = runner.message_hub.runtime_info.get('wsol_stats')
        if stats is None:
            return
        self._add(self._sums, stats)
        chance = math.log(self._model(runner).head.num_classes)
        self._add(
            self._epoch, dict(stats, off_chance=(stats['loss_cls'] - chance).abs())
        )
        if self.every_n_train_iters(runner, self.interval):
            for name, value in self._means(self._sums).items():
                if name not in ('peak_logit', 'loss_cls'):
                    runner.message_hub.update_scalar(f'train/{name}', value)
        self._steps += 1
        if self._steps == len(runner.train_dataloader):
            self._steps = 0
            self._check(runner, self._means(self._epoch))

    @staticmethod
    def _model(runner: Runner) -> torch.nn.Module:
        model = runner.model
        return model.module if is_model_wrapper(model) else model

    def _check(self, runner: Runner, means: Dict[str, float]) -> None:
        """Warns of the collapses that an epoch's means show."""
        chance = math.log(self._model(runner).head.num_classes)
        area = means.get('fg_area')
        dead = means['peak_logit'] == 0
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
