"""Stops before the first step when the class counts differ."""

from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from bas_mm.registry import HOOKS


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compares the class count of the data set and that of the head.

    Raises:
        ValueError: Before training, validation or testing, with both numbers
            and the option that mends it.
    """

    def _check(self, runner: Runner, dataset: BaseDataset) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        classes = dataset.metainfo.get('classes')
        ours = model.head.num_classes
        if classes is not None and len(classes) != ours:
            raise ValueError(
                f'The data set has {len(classes)} classes, but the head has '
                f'{ours} (model.head.num_classes). Run with `--cfg-options '
                f'model.head.num_classes={len(classes)}`, or point '
                '`--data-root` at the data that the config is for.'
            )

    def before_train(self, runner: Runner) -> None:
        """Checks the training set."""
        self._check(runner, runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Checks the validation set."""
        self._check(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Checks the test set."""
        self._check(runner, runner.test_dataloader.dataset)
