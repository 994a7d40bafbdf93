"""Inference beside a plain version, and beside other maps of the same network."""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config

from bas_mm.analysis.arms import ArmTime, Stopwatch, Work, time_arms
from bas_mm.analysis.plain import (
    Ways,
    compare,
    first_views,
    load_plain_model,
    plain_boxes,
)
from bas_mm.apis.fast import speed_up
from bas_mm.localization import as_array


class InferWays(Ways):
    """Ways from views without labels to scores, maps and boxes.

    Args:
        model: Of :func:`bas_mm.analysis.plain.load_plain_model`.
        inputs: The views, ``(3, H, W)`` uint8 each.
    """

    def __init__(self, model: Any, inputs: list[torch.Tensor]) -> None:
        options = model.head.test_options().replace(map_label='pred')
        super().__init__(model, dict(inputs=inputs), options)
        self.fast = copy.deepcopy(model)
        speed_up(self.fast)

    def arms(self, size: Sequence[int]) -> dict[str, Work]:
        """Give the ways by their names; the plain one is what all compare with.

        Args:
            size: ``(h, w)`` of our maps.
        """
        arms: dict[str, Work] = {
            'bas_mm': self.ours,
            'bas_mm --fast': partial(self.ours, model=self.fast),
            'plain': self.plain,
        }
        with torch.no_grad():
            acts = self.model.head(self.model.neck(self.data()['inputs']))
        if acts.logit_map is not None:
            arms['CAM'] = partial(self.cam, size=size)
        if (grad_cam := find_grad_cam()) is not None:
            arms['GradCAM'] = partial(self.grad_cam, grad_cam=grad_cam)
        return arms

    @torch.no_grad()
    def cam(self, watch: Stopwatch, size: Sequence[int]) -> np.ndarray:
        """Take the logit maps of the best classes, at a size."""
        views = self.data()['inputs']
        with watch.part('forward'):
            acts = self.model.head(self.model.neck(views))
        with watch.part('maps'):
            best = acts.logits.argmax(1)
            maps = acts.logit_map[torch.arange(len(best)), best]
            maps = F.interpolate(maps[:, None], tuple(size), mode='bilinear')
        with watch.part('boxes'):
            return plain_boxes(as_array(maps[:, 0]), views, self.options)

    def grad_cam(self, watch: Stopwatch, grad_cam: Any) -> np.ndarray:
        """Let pytorch-grad-cam explain the best classes by the trunk's features."""
        views = self.data()['inputs']
        layer = self.model.neck.steps()[-1]
        with (
            watch.part('maps'),
            grad_cam(model=self.model, target_layers=[layer]) as explain,
        ):
            maps = explain(input_tensor=views, targets=None)  # the best classes
        with watch.part('boxes'):
            return plain_boxes(maps, views, self.options)


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
        ways = InferWays(model, first_views(cfg, size)['inputs'])
        found = ways.check()
        note = compare(ways.ours(Stopwatch(device), ways.fast), found)
        arms, count = ways.arms(found.maps.shape[1:]), len(found.boxes)
        yield time_arms(arms, rounds, count, device, model.parameters()), note
