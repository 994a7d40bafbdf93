"""Maps averaged over mirrored and resized views."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@MODELS.register_module()
class FlipScaleRefiner(nn.Module):
    """Average the maps of a view, its mirror image and other sizes of it.

    No training: any model takes it as ``model.refiner``. Each further view
    costs a pass of the network; class scores stay those of the view.

    Args:
        flip: Also look at the mirror image, of each size.
        scales: Sizes as shares of the view's. 1, the view itself, is always
            among them.

    Raises:
        ValueError: If nothing is to be averaged, or a scale is not positive.
    """

    def __init__(self, flip: bool = True, scales: Sequence[float] = ()) -> None:
        super().__init__()
        if any(not scale > 0 for scale in scales):
            raise ValueError(
                '`model.refiner.scales` must be above 0 (shares of the view), got '
                f'{list(scales)}.'
            )
        self.flip = flip
        self.scales = [1.0, *(float(scale) for scale in scales if scale != 1)]
        if not flip and len(self.scales) == 1:
            raise ValueError(
                'FlipScaleRefiner has nothing to average: set '
                '`model.refiner.flip=True`, or `model.refiner.scales` to others than 1.'
            )
        self._model: tuple[Any, ...] = ()  # a tuple: not registered

    def bind(self, model: Any) -> None:
        """Point the refiner at the model whose maps it averages."""
        self._model = (model,)

    def refine(
        self,
        maps: torch.Tensor,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
    ) -> torch.Tensor:
        """Average maps.

        Args:
            maps: Of the view, ``(B, h, w)``.
            acts: Not read.
            inputs: Views, ``(B, 3, H, W)``.
            classes: Class indices, ``(B, K)``.

        Returns:
            Maps, ``(B, h, w)``, in the range of ``maps``.
        """
        (model,) = self._model
        found = [maps]
        for scale in self.scales:
            view = inputs
            if scale != 1:
                size = [max(1, round(scale * n)) for n in inputs.shape[2:]]
                view = F.interpolate(inputs, size, mode='bilinear', align_corners=False)
                found.append(model.plain_maps(view, classes))
            if self.flip:
                found.append(model.plain_maps(view.flip(-1), classes).flip(-1))
        h, w = maps.shape[1:]
        same = [
            F.interpolate(one[:, None], (h, w), mode='bilinear', align_corners=False)
            for one in found
        ]
        return torch.cat(same, 1).mean(1)
