"""Loading of boxes and masks."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from bas_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadLocAnnotations(BaseTransform):
    """Put boxes and the mask of an image into the results.

    Belongs after ``LoadImageFromFile`` and before any transform that moves
    pixels. What an image does not have stays absent.

    **Required Keys:**

    - img
    - gt_bboxes (optional): ``(n, 4)``, ``xyxy`` in pixels of the loaded image
    - seg_map_path (optional)

    **Added Keys:**

    - gt_bboxes (optional): ``(n, 4)`` float32, same frame
    - gt_seg_map (optional): ``(h, w)`` uint8, 0 background, 1 foreground,
      255 ignored

    Args:
        threshold: Gray values (palette images: indices) at or above it are
            foreground. The official CUB masks say how many annotators agree:
            use 128 there.
        ignore: This gray value becomes 255, ignored by the metrics; None for
            no such value.

    Raises:
        ValueError: If a mask is not of the image's size or has colors, or
            boxes are not ``(n, 4)``.
        FileNotFoundError: If the mask's file does not exist.

    Example:
        >>> results = dict(img=np.zeros((4, 5, 3)), gt_bboxes=[[0, 0, 5, 4]])
        >>> LoadLocAnnotations()(results)['gt_bboxes'].dtype
        dtype('float32')
    """

    def __init__(self, threshold: int = 1, ignore: int | None = None) -> None:
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
            results: The results of the image loader.

        Returns:
            The results with ``gt_bboxes`` and ``gt_seg_map``.
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
        """Read a mask, ``shape`` uint8, of 0, 1 and 255."""
        gray = _load_gray(path)
        if gray.shape != tuple(shape):
            raise ValueError(
                f'The mask `{path}` has {gray.shape[1]}x{gray.shape[0]} '
                f'pixels, its image {shape[1]}x{shape[0]}: they must agree. '
                'Put LoadLocAnnotations before transforms that resize, and '
                'check that the image is not turned by its EXIF tag '
                "(LoadImageFromFile(color_type='color_ignore_orientation'))."
            )
        mask = (gray >= self.threshold).astype(np.uint8)
        if self.ignore is not None:
            mask[gray == self.ignore] = 255
        return mask

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(threshold={self.threshold}, ignore={self.ignore})'
        )


def _load_gray(path: str) -> np.ndarray:
    """Read an image without colors, ``(h, w)``; a palette gives its indices."""
    gray = mmcv.imfrombytes(fileio.get(path), flag='unchanged', backend='pillow')
    if gray.dtype == bool:
        gray = gray.astype(np.uint8) * 255
    if gray.ndim == 2:
        return gray
    color = gray[..., :3] if gray.shape[2] > 2 else gray[..., :1]
    if (color != color[..., :1]).any():
        raise ValueError(
            f'The mask `{path}` is a color image: a mask must be a gray or palette PNG.'
        )
    return color[..., 0]
