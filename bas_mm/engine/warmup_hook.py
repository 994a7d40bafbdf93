"""Classification first, localization after."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.models import unwrap


@HOOKS.register_module()
class ClsWarmupHook(Hook):
    """Trains the classification term alone for the first epochs.

    While the classifier knows nothing S_bg / S stays near 1, the area term
    wins and the map vanishes. On a budget of a few hundred steps BAS
    therefore needs a classifier first.

    Args:
        epochs: Number of epochs of classification alone.
    """

    def __init__(self, epochs: int) -> None:
        if epochs < 0:
            raise ValueError(
                f'ClsWarmupHook: `epochs` must be 0 or more, got {epochs}.'
            )
        self.epochs = epochs

    def before_train(self, runner: Runner) -> None:
        """Warn where the training ends before the warm-up."""
        if 0 < runner.max_epochs <= self.epochs:
            runner.logger.warning(
                f'All {runner.max_epochs} epochs are warm-up (default_hooks.warmup.'
                f'epochs={self.epochs}): nothing but the classification is trained, '
                'and the maps of a generator mean nothing. Train longer '
                '(train_cfg.max_epochs), or warm up for fewer epochs.'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Sets ``model.cls_only`` from the epoch, so that a resume is right."""
        unwrap(runner.model).cls_only = runner.epoch < self.epochs
        if runner.epoch == self.epochs > 0:
            runner.logger.info('Warm-up is over: all terms from here on.')
