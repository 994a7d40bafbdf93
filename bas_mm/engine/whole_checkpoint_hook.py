"""Stops where a checkpoint leaves weights of the model as they were drawn."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.registry import HOOKS
from bas_mm.utils.loading import LoadWatch, explain_misfit
from bas_mm.utils.models import unwrap


@HOOKS.register_module()
class WholeCheckpointHook(Hook):
    """Wants every weight of the model from the checkpoint of a test.

    mmengine loads what fits and logs the rest; figures of random weights would
    follow. Weights that the model does not know are left aside.

    Raises:
        ValueError: Before testing, if the checkpoint had nothing for a weight,
            or another shape of it.
    """

    def __init__(self) -> None:
        self._watch: LoadWatch | None = None
        self._state: dict[str, Any] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Watch the load that follows."""
        state = checkpoint.get('state_dict', checkpoint)
        self._state = {str(key).removeprefix('module.'): v for key, v in state.items()}
        self._watch = LoadWatch(unwrap(runner.model))

    def before_test(self, runner: Runner) -> None:
        """Stop if weights are missing."""
        if self._watch is None:
            return
        self._watch.stop()
        if self._watch.lost():
            name = str(runner._load_from)
            raise ValueError(explain_misfit(unwrap(runner.model), self._state, name))
        self._watch, self._state = None, {}
