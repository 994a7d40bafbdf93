"""Stops before the first step when the class counts differ."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.configs import head_keys
from bas_mm.utils.models import count_classes, unwrap


@HOOKS.register_module()
class ClassCheckHook(Hook):
    """Compares the class count of the data set and that of the model.

    Raises:
        ValueError: Before training, validation or testing, with both numbers
            and the option that fixes it; before training also where there is a
            single class, from which nothing can be learned.
    """

    def _check(self, runner: Runner, split: str) -> None:
        dataset = getattr(runner, f'{split}_dataloader').dataset
        classes = dataset.metainfo.get('classes')
        ours = count_classes(runner.model)
        if classes is not None and len(classes) != ours:
            keys = head_keys(runner.cfg.get('model') or {}) or ['model.head']
            options = ' '.join(f'{key}.num_classes={len(classes)}' for key in keys)
            raise ValueError(
                f'The data set has {len(classes)} classes, but the head has '
                f'{ours} ({keys[-1]}.num_classes). Run with `--cfg-options '
                f'{options}`, or point `--data-root` at the data that the config is '
                'for.'
            )

    def _say_topk(self, runner: Runner) -> None:
        """Say where a config's K is over the number of classes."""
        head = getattr(unwrap(runner.model), 'head', None)
        topk, classes = getattr(head, 'topk', None), count_classes(runner.model)
        if isinstance(topk, int) and topk > classes:
            runner.logger.info(
                f'model.head.topk={topk} is over the {classes} classes: a map is the '
                'mean over all of them.'
            )

    def _warn_of_mean(self, runner: Runner) -> None:
        """Warn where a map is a mean that nothing trains."""
        head = getattr(unwrap(runner.model), 'head', None)
        if head is not None and getattr(head, 'has_untrained_mean', False):
            runner.logger.warning(
                f'A map is the mean over all {head.num_classes} classes, which '
                'cross-entropy does not train without a ReLU over the maps '
                '(model.head.final_relu): take `--cfg-options model.head.topk=1`.'
            )

    def before_train(self, runner: Runner) -> None:
        """Check the training set."""
        self._check(runner, 'train')
        classes = runner.train_dataloader.dataset.metainfo.get('classes')
        if classes is not None and len(classes) < 2:
            raise ValueError(
                f'The training set has one class, {classes[0]!r}: a classifier needs '
                'at least two. Add images of others, such as the same places without '
                'the object.'
            )
        self._warn_of_mean(runner)

    def before_val(self, runner: Runner) -> None:
        """Check the validation set."""
        self._check(runner, 'val')

    def before_test(self, runner: Runner) -> None:
        """Check the test set."""
        self._check(runner, 'test')
        self._say_topk(runner)
        self._warn_of_mean(runner)
