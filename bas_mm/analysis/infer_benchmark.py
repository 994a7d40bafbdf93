"""Inference beside a plain version, and beside other maps of the same network."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import nn

from bas_mm.analysis.arms import ArmTime, Stopwatch, Work, time_arms
from bas_mm.analysis.plain import (
    Found,
    compare,
    first_views,
    load_plain_model,
    plain_boxes,
    plain_maps,
    predict,
    require_equal,
)
from bas_mm.apis.fast import speed_up
from bas_mm.localization import as_array


class _Logits(nn.Module):
    """A model as an ordinary classifier: views to logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self.model(views)


class InferArms:
    """Ways from a batch of views to scores, maps and boxes.

    Args:
        model: Of :func:`bas_mm.analysis.plain.load_plain_model`.
        inputs: The views, ``(3, H, W)`` uint8 each.
    """

    def __init__(self, model: Any, inputs: list[torch.Tensor]) -> None:
        self.model = model
        self.fast = copy.deepcopy(model)
        speed_up(self.fast)
        self.inputs = inputs
        self.options = model.head.test_options().replace(map_label='pred')

    def arms(self) -> dict[str, Work]:
        """Give the ways by their names; the plain one is what all compare with."""
        arms: dict[str, Work] = {
            'bas_mm': self.ours,
            'bas_mm --fast': lambda watch: self.ours(watch, self.fast),
            'plain': self.plain,
        }
        with torch.no_grad():
            if self.model.head(self.model.neck(self._views())).logit_map is not None:
                arms['CAM'] = self.cam
        if (grad_cam := find_grad_cam()) is not None:
            arms['GradCAM'] = lambda watch: self.grad_cam(watch, grad_cam)
        return arms

    def _views(self) -> torch.Tensor:
        data = self.model.data_preprocessor(dict(inputs=self.inputs))
        return data['inputs']

    @torch.no_grad()
    def ours(self, watch: Stopwatch, model: Any = None) -> Found:
        """Predict as the inferencer does."""
        return predict(
            model or self.model, dict(inputs=self._views()), self.options, watch
        )

    @torch.no_grad()
    def plain(self, watch: Stopwatch) -> Found:
        """Compute the maps of all classes, then look at image by image."""
        views = self._views()
        scores, maps = plain_maps(self.model, views, None, self.options, watch)
        with watch.part('boxes'):
            return Found(as_array(scores), maps, plain_boxes(maps, views, self.options))

    @torch.no_grad()
    def cam(self, watch: Stopwatch) -> np.ndarray:
        """Take the logit maps of the best classes, at the size of our maps."""
        views = self._views()
        with watch.part('forward'):
            acts = self.model.head(self.model.neck(views))
        with watch.part('maps'):
            best = acts.logits.argmax(1)
            maps = acts.logit_map[torch.arange(len(best)), best]
            maps = F.interpolate(maps[:, None], self.map_size, mode='bilinear')
        with watch.part('boxes'):
            return plain_boxes(as_array(maps[:, 0]), views, self.options)

    def grad_cam(self, watch: Stopwatch, grad_cam: Any) -> np.ndarray:
        """Let pytorch-grad-cam explain the best classes by the trunk's features."""
        views = self._views()
        layer = self.model.neck.steps()[-1]
        with (
            watch.part('maps'),
            grad_cam(model=_Logits(self.model), target_layers=[layer]) as explain,
        ):
            maps = explain(input_tensor=views, targets=None)  # the best classes
        with watch.part('boxes'):
            return plain_boxes(maps, views, self.options)

    def check(self) -> str:
        """Check that the plain version finds the same, and say how far ``fast`` is.

        Raises:
            ValueError: If it does not.
        """
        watch = Stopwatch(next(self.model.parameters()).device)
        ours, plain = self.ours(watch), self.plain(watch)
        require_equal(ours, plain, plain_boxes(ours.maps, self._views(), self.options))
        self.map_size = ours.maps.shape[1:]
        return compare(self.ours(watch, self.fast), ours)


def find_grad_cam() -> Any:
    """Give the ``GradCAM`` of pytorch-grad-cam; None where it is not installed."""
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError:
        return None
    return GradCAM


def time_inference(
    cfg: Config,
    checkpoint: str | None,
    batch_sizes: list[int],
    rounds: int,
    device: torch.device,
) -> Iterator[tuple[list[ArmTime], str]]:
    """Time what the inferencer does with loaded views, and other ways.

    Args:
        cfg: A config.
        checkpoint: Weights; None for random ones.
        batch_sizes: Images at once; images are those of the test set.
        rounds: Timed batches of each way.
        device: Where they run.

    Yields:
        For each size the times, those of the plain version among them, and how far
        what ``--fast`` finds is from what is found without.

    Raises:
        ValueError: If the plain version finds something else, there is none for the
            model, or a number is below 1.
    """
    model = load_plain_model(cfg, checkpoint, device)
    for size in batch_sizes:
        ways = InferArms(model, first_views(cfg, size)['inputs'])
        note = ways.check()
        count = len(ways.inputs)
        yield time_arms(ways.arms(), rounds, count, device, model.parameters()), note
