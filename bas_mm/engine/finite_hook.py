"""Stops where numbers are not finite."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.finite import require_finite, require_finite_weights


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stops at the step whose loss is NaN or infinite, before it is saved.

    The losses are read where mmengine has already brought them to the host for
    its log, at every step: nothing waits for the device once more. Weights are
    looked at when a checkpoint is saved, scores and maps batch by batch in
    validation and test.

    Args:
        allow: So many steps in a row may have a loss that is not finite, each
            with a warning: the scaler of mixed precision leaves such steps out.

    Raises:
        ValueError: Says which step, which terms, and what to do; or which
            weights, or which image.
    """

    def __init__(self, allow: int = 0) -> None:
        if allow < 0:
            raise ValueError(f'FiniteHook: `allow` must be 0 or more, got {allow}.')
        self.allow = allow
        self._row = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at the losses of a step."""
        terms = {
            name: _on_host(runner, name, value)
            for name, value in (outputs or {}).items()
            if 'loss' in name
        }
        if all(map(math.isfinite, terms.values())):
            self._row = 0
            return
        self._row += 1
        text = (
            f'The loss is not finite at step {runner.iter + 1} (epoch '
            f'{runner.epoch + 1}): '
            + ', '.join(f'{name}={value:.4g}' for name, value in terms.items())
        )
        if self._row <= self.allow:
            runner.logger.warning(f'{text}; {self._row} of {self.allow} in a row.')
            return
        raise ValueError(
            f'{text}. Lower `optim_wrapper.optimizer.lr`, or clip the gradients '
            '(`--cfg-options optim_wrapper.clip_grad.max_norm=5`); with --amp, whose '
            'scaler leaves such steps out, `--allow-nan N` lets N in a row pass. '
            'Nothing of this step is saved.'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Look at the weights that are to be saved."""
        name = f'The model after step {runner.iter}'
        require_finite_weights(checkpoint.get('state_dict', {}), name)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Look at the scores and maps of a batch."""
        samples = list(outputs or ())
        names = [
            sample.get('img_path', f'image {i}') for i, sample in enumerate(samples)
        ]
        for field, what in (('pred_score', 'scores'), ('pred_map', 'map')):
            values = [sample.get(field) for sample in samples]
            if all(value is not None for value in values):
                require_finite(values, names, what)

    after_test_iter = after_val_iter


def _on_host(runner: Runner, name: str, value: Any) -> float:
    """Give the value of a loss, from the log if it is there."""
    buffer = runner.message_hub.log_scalars.get(f'train/{name}')
    return float(value if buffer is None else buffer.current())
