"""Loading of boxes and masks."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from bas_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadLocAnnotations(BaseTransform):
    """Put boxes and the mask of a picture into the results.

    Stands after ``LoadImageFromFile`` and before any transform that moves
    pixels. What a picture does not have stays absent.

    **Required Keys:**

    - img
    - gt_bboxes (optional): ``(n, 4)``, xyxy, pixels of the loaded picture
    - seg_map_path (optional)

    **Added Keys:**

    - gt_bboxes (optional): ``(n, 4)`` float32, same frame
    - gt_seg_map (optional): ``(h, w)`` uint8, 0 background, 1 foreground,
      255 ignored

    Args:
        threshold (int): Grey values (palette images: indices) at or above it
            are foreground. The official CUB masks say how many annotators
            agree: use 128 there. Defaults to 1.
        ignore (int, optional): This grey value becomes 255, ignored by the
            metrics. Defaults to None, which means that none is.

    Raises:
        ValueError: If a mask is not of the picture's size or is a colour
            picture, or boxes are not ``(n, 4)``.
        FileNotFoundError: If the mask's file is gone.
    """

    def __init__(self, threshold: int = 1, ignore: int | None = None):
        if threshold < 1:
            raise ValueError(
                '`threshold` of LoadLocAnnotations must be at '
                f'least 1 (0 is background), got {threshold}.'
            )
        self.threshold = threshold
        self.ignore = ignore

    def transform(self, results: dict) -> dict:
        """Load the annotations.

        Args:
            results (dict): The results of the image loader.

        Returns:
            dict: The results with ``gt_bboxes`` and ``gt_seg_map``.
        """
        if results.get('gt_bboxes') is not None:
            boxes = np.asarray(results['gt_bboxes'], dtype=np.float32)
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise ValueError(
                    '`gt_bboxes` must have shape (n, 4), xyxy, but has '
                    f'{boxes.shape} ({results.get("img_path")}).'
                )
            results['gt_bboxes'] = boxes
        if results.get('seg_map_path') is not None:
            results['gt_seg_map'] = self._load_mask(
                results['seg_map_path'], results['img'].shape[:2]
            )
        return results

    def _load_mask(self, path: str, shape: tuple[int, int]) -> np.ndarray:
        grey = mmcv.imfrombytes(fileio.get(path), flag='unchanged', backend='pillow')
        if grey.dtype == bool:
            grey = grey.astype(np.uint8) * 255
        if grey.ndim == 3:
            colour = grey[..., :3] if grey.shape[2] > 2 else grey[..., :1]
            if (colour != colour[..., :1]).any():
                raise ValueError(
                    f'The mask `{path}` is a colour picture: a mask must be a '
                    'grey or palette PNG.'
                )
            grey = colour[..., 0]
        if grey.shape != tuple(shape):
            raise ValueError(
                f'The mask `{path}` has {grey.shape[1]}x{grey.shape[0]} '
                f'pixels, its picture {shape[1]}x{shape[0]}: they must agree. '
                'Put LoadLocAnnotations before transforms that resize, and '
                'check that the picture is not turned by its EXIF tag '
                "(LoadImageFromFile(color_type='color_ignore_orientation'))."
            )
        mask = (grey >= self.threshold).astype(np.uint8)
        if self.ignore is not None:
            mask[grey == self.ignore] = 255
        return mask

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(threshold={self.threshold}, ignore={self.ignore})'
        )
