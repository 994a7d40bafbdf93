"""A second look at small objects."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.models.refiners.scg import minmax
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


@MODELS.register_module()
class ZoomRefiner(nn.Module):
    """Look at small objects once more, enlarged, and fuse the two maps.

    BAS (CVPR 2022), Sec. 4.5: small objects suffer from small maps. Where the
    box of a map is small, a square window around it is enlarged to the size of
    the view and passes the network again. Inside the window the map becomes
    the mean of both, each min-max normalized. Large objects stay untouched.

    The window is cut from the image's own pixels where the test pipeline keeps
    them (``keep_detail=True`` of its :class:`bas_mm.datasets.LoadImageFromFile`),
    as in the paper. Otherwise it is cut from the view, and holds no detail that
    the view does not have.

    Args:
        max_area: Boxes that cover less than this share of the view are looked
            at again.
        margin: Side of the window as a share of the box's longer side.
        min_side: Least side of the window, as a share of the view's shorter
            side.

    Raises:
        ValueError: If an option is not allowed.
    """

    #: Tells the model to hand out the images' own pixels.
    reads_detail = True

    def __init__(
        self, max_area: float = 0.25, margin: float = 1.5, min_side: float = 0.35
    ) -> None:
        super().__init__()
        for name, value, top in (
            ('max_area', max_area, 1.0),
            ('margin', margin, float('inf')),
            ('min_side', min_side, 1.0),
        ):
            if not 0 < value <= top:
                most = '' if top > 1 else ' and at most 1'
                raise ValueError(
                    f'`model.refiner.{name}` must be above 0{most}, got {value}.'
                )
        self.max_area = max_area
        self.margin = margin
        self.min_side = min_side
        self._model: tuple[Any, ...] = ()  # a tuple: not registered

    def bind(self, model: Any) -> None:
        """Point the refiner at the model that looks again."""
        self._model = (model,)

    def windows(self, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Give the windows of boxes.

        Args:
            boxes: Shape ``(B, 4)``, ``xyxy`` in pixels of the view.
            size: ``(h, w)`` of the view.

        Returns:
            Squares inside the view, ``(B, 4)``, ``xyxy``.

        Example:
            >>> boxes = torch.tensor([[0.0, 40.0, 20.0, 60.0]])
            >>> ZoomRefiner(min_side=0.1).windows(boxes, (100, 100)).tolist()
            [[0.0, 35.0, 30.0, 65.0]]
        """
        h, w = size
        low, high = boxes.unflatten(1, (2, 2)).unbind(1)
        side = (self.margin * (high - low).amax(1)).clamp(self.min_side * min(h, w))
        side = side.clamp(max=min(h, w))[:, None]
        start = ((low + high - side) / 2).clamp(min=0)
        start = torch.minimum(start, torch.tensor([w, h]) - side)
        return torch.cat([start, start + side], 1)

    def refine(
        self,
        maps: torch.Tensor,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Refine the maps of small objects.

        Args:
            maps: Shape ``(B, h, w)``.
            acts: Activations of the views.
            inputs: Views, ``(B, 3, H, W)``.
            classes: Class indices, ``(B, K)``.
            detail: What each view shows, in the image's own pixels:
                ``(3, H', W')`` uint8 of any size. None: the view is all.

        Returns:
            Maps in [0, 1], ``(B, H, W)``: at the size of the view.
        """
        (model,) = self._model
        h, w = inputs.shape[2:]
        options = model.head.test_options()
        more = {} if options.percentile is None else dict(percentile=options.percentile)
        boxes = model.head.boxes(acts, maps, (h, w), options.threshold, **more)
        sides = boxes[:, 2:] - boxes[:, :2]
        small = (sides.prod(1) < self.max_area * h * w).nonzero()[:, 0]
        fused = _enlarge(minmax(maps, (1, 2), 1e-10)[:, None], (h, w))
        if not len(small):
            return fused[:, 0]
        # where the window lies in the view, whose sides go from -1 to 1
        window = self.windows(boxes[small], (h, w)) / torch.tensor([w, h, w, h])
        if detail is not None:
            parts, window = _cut([detail[i] for i in small], window, (h, w))
        low, high = window.unflatten(1, (2, 2)).to(inputs.device).unbind(1)
        scale, shift = high - low, low + high - 1
        small = small.to(inputs.device)
        if detail is None:
            views = _warp(inputs[small], scale, shift)
        else:
            views = model.data_preprocessor(dict(inputs=parts))['inputs']
        again = model.plain_maps(views, classes[small])
        again = _enlarge(minmax(again, (1, 2), 1e-10)[:, None], (h, w))
        back = _warp(again, 1 / scale, -shift / scale)
        inside = _warp(torch.ones_like(again), 1 / scale, -shift / scale, 'zeros') > 0.5
        first = fused[small]
        fused[small] = torch.where(inside, (first + back) / 2, first)
        return fused[:, 0]


def _cut(
    detail: Sequence[torch.Tensor], window: torch.Tensor, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut windows out of images, and bring them to a size.

    Args:
        detail: Images, ``(3, H, W)`` each.
        window: Shares of their sides, ``(B, 4)``, ``xyxy``.
        size: ``(h, w)`` to come to.

    Returns:
        The windows, ``(B, 3, h, w)`` of 0 to 255; and the windows, their edges
        moved to whole pixels.
    """
    parts, moved = [], []
    for image, one in zip(detail, window):
        sides = one.new_tensor([image.shape[2], image.shape[1]] * 2)
        low, high = (one * sides).round().unflatten(0, (2, 2)).unbind(0)
        low = torch.minimum(low, sides[:2] - 1)
        high = torch.maximum(high, low + 1)
        (x0, y0), (x1, y1) = low.long().tolist(), high.long().tolist()
        part = image[None, :, y0:y1, x0:x1].float()
        parts.append(
            F.interpolate(
                part, size, mode='bilinear', align_corners=False, antialias=True
            )
        )
        moved.append(torch.cat([low, high]) / sides)
    return torch.cat(parts).clamp(0, 255), torch.stack(moved)


def _enlarge(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x, size, mode='bilinear', align_corners=False)


def _warp(
    x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, padding: str = 'border'
) -> torch.Tensor:
    """Read images at ``scale * place + shift``, ``(B, 2)`` each, x first."""
    theta = torch.cat([torch.diag_embed(scale), shift[..., None]], 2).to(x.dtype)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)
