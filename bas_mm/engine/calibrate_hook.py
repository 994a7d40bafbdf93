"""A threshold at the end of training."""

import dataclasses
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.models import unwrap
from bas_mm.utils.tables import metrics_table


@HOOKS.register_module()
class CalibrateHook(Hook):
    """Finds the threshold of the maps after the last step, without any box.

    What it finds becomes ``model.head.calibration``: it is saved in the last
    checkpoint, and ``threshold='auto'`` stands for its threshold from then on.
    ``bas-mm calibrate`` does the same for a checkpoint. Where it cannot be found
    it says why, and training ends as it would without the hook.

    Args:
        num_images: Training images that are read, at most all.
        seed: Of their choice.

    Raises:
        ValueError: If ``num_images`` is below 1.
    """

    def __init__(self, num_images: int = 100, seed: int = 0) -> None:
        if num_images < 1:
            raise ValueError(
                f'CalibrateHook: `num_images` must be at least 1, got {num_images}.'
            )
        self.num_images = num_images
        self.seed = seed

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Calibrate after the last step, before the checkpoint is written."""
        # not with the package: `import bas_mm` loads no models
        from bas_mm.analysis.calibration import advise, calibrate, training_views
        from bas_mm.models.classifiers.localizer import Localizer

        model = unwrap(runner.model)
        localizes = issubclass(type(model), Localizer)
        if runner.iter + 1 != runner.max_iters or not localizes:
            return
        training = model.training
        model.eval()
        try:
            views = training_views(runner.cfg, model, self.num_images, self.seed)
            found = calibrate(model, views)
        except (ValueError, OSError) as error:  # the trained weights are not lost
            runner.logger.warning(
                f'Not calibrated: {error} `bas-mm calibrate` can do it later; until '
                "then threshold='auto' is found for each map."
            )
            return
        finally:
            model.train(training)
        model.head.calibration = found
        table = metrics_table(dataclasses.asdict(found))
        runner.logger.info(f'Calibration on training images, without boxes:\n{table}')
        for warning in advise(found):
            runner.logger.warning(warning)
