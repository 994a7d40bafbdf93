"""The ten crops of an image."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import CenterCrop

from bas_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TenCrop(CenterCrop):
    """Cut the ten crops: the center crop is the view, nine more for scores.

    ``img``, ``gt_bboxes`` (clipped to the view; a box that vanishes stays
    with no area, so that its image still counts) and ``gt_seg_map`` become
    those of the center crop. ``crops`` holds, in this order: top left, top
    right, bottom left, bottom right, the center mirrored, and the four
    corners mirrored. Classification averages the scores of all ten, as in
    the recipe of the method; localization uses the view.

    **Modified Keys:**

    - img, img_shape, gt_bboxes (optional), gt_seg_map (optional)

    **Added Keys:**

    - crops: ``(9, c, h, w)``, type of ``img``

    Args:
        crop_size: Size of a crop in pixels, ``(w, h)`` or one number for both.

    Raises:
        ValueError: If the image is smaller than the crop.

    Example:
        >>> results = TenCrop(2)(dict(img=np.zeros((4, 5, 3))))
        >>> results['img'].shape, results['crops'].shape
        ((2, 2, 3), (9, 3, 2, 2))
    """

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        super().__init__(crop_size if isinstance(crop_size, int) else tuple(crop_size))

    def transform(self, results: dict) -> dict:
        """Cut the ten crops.

        Args:
            results: Results with ``img``, ``(H, W, c)`` or ``(H, W)``.

        Returns:
            The results of the center crop, and ``crops``.
        """
        img = results['img']
        (w, h), (height, width) = self.crop_size, img.shape[:2]
        if h > height or w > width:
            raise ValueError(
                f'TenCrop needs an image of at least {w}x{h} pixels, but '
                f'{results.get("img_path", "it")} has {width}x{height}: put a '
                'larger `scale` into the Resize before it, or take a smaller '
                '`crop_size`.'
            )
        results = super().transform(results)
        five = [
            img[y : y + h, x : x + w] for y in (0, height - h) for x in (0, width - w)
        ]
        flips = [crop[:, ::-1] for crop in (results['img'], *five)]
        crops = np.stack(five + flips)
        if crops.ndim == 3:  # gray images
            crops = crops[..., None]
        results['crops'] = np.ascontiguousarray(crops.transpose(0, 3, 1, 2))
        return results
