"""Stops where a checkpoint is not that of the model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.loading import fill_model
from bas_mm.utils.models import unwrap


@HOOKS.register_module()
class WholeCheckpointHook(Hook):
    """Loads the checkpoint of a test as all tools do: every weight must fit.

    mmengine loads what fits and logs the rest: a test of random weights, or of
    BAS read as CAM, would follow.

    Raises:
        ValueError: If the model and the checkpoint do not have the same weights,
            in the same shapes, or some are not finite.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Fill the model before mmengine does."""
        fill_model(unwrap(runner.model), checkpoint, str(runner._load_from))
