"""Packing of boxes, masks and crops."""

from collections.abc import Sequence

import numpy as np
import torch
from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.datasets.transforms.formatting import to_tensor

from bas_mm.localization.view import ViewFrame
from bas_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackLocInputs(PackInputs):
    """``PackInputs`` for localization: boxes, masks and the ten crops.

    Adds to what :class:`mmpretrain.datasets.transforms.PackInputs` packs

    - ``data_samples.gt_bboxes``: ``(n, 4)`` float32 tensor, ``xyxy`` in
      pixels of the view (max exclusive), where the image has boxes;
    - ``data_samples.gt_seg_map``: ``(h, w)`` uint8 tensor, where it has one;
    - ``crops``: ``(9, c, h, w)`` tensor, after :class:`TenCrop`;
    - ``detail``: ``(c, H, W)`` tensor, what the view shows in the image's own
      pixels, where the loader kept them (``keep_detail=True``). The view must
      be the middle of the image, resized or not.

    Args:
        input_key: The key of the view.
        algorithm_keys: Keys put into the data sample as tensors.
        meta_keys: Keys put into its meta information.

    Example:
        >>> pack = PackLocInputs(meta_keys=())
        >>> box = np.array([[0, 0, 5, 4]], np.float32)
        >>> packed = pack(dict(img=np.zeros((4, 5, 3), np.uint8), gt_bboxes=box))
        >>> packed['inputs'].shape, packed['data_samples'].gt_bboxes
        (torch.Size([3, 4, 5]), tensor([[0., 0., 5., 4.]]))
    """

    def __init__(
        self,
        input_key: str = 'img',
        algorithm_keys: Sequence[str] = ('gt_bboxes', 'gt_seg_map'),
        meta_keys: Sequence[str] = PackInputs.DEFAULT_META_KEYS,
    ) -> None:
        super().__init__(input_key, algorithm_keys, meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one view.

        Args:
            results: The results of the pipeline; left as they are.

        Returns:
            ``inputs``, ``data_samples`` and, after TenCrop, ``crops``; and
            ``detail``, where it was kept.
        """
        results = dict(results)
        for key in self.algorithm_keys:
            if isinstance(results.get(key), np.ndarray):
                array = np.ascontiguousarray(results[key])
                tensor = to_tensor(array)
                results[key] = (
                    tensor.to(torch.float32) if tensor.is_floating_point() else tensor
                )
        packed = super().transform(results)
        if 'crops' in results:
            packed['crops'] = to_tensor(results['crops'])
        if 'detail' in results:
            detail = _middle_frame(results).cut(results['detail'])
            packed['detail'] = to_tensor(
                np.ascontiguousarray(detail.transpose(2, 0, 1))
            )
        return packed


def _middle_frame(results: dict) -> ViewFrame:
    """Tell where a view lies that was resized, then cropped in the middle."""
    view, image = results['img'].shape[:2], results['detail'].shape[:2]
    scale = np.array(results.get('scale_factor', (1.0, 1.0)), float)
    left = scale * image[::-1] - view[::-1]
    return ViewFrame(view, image, scale, -(left / 2).round())
