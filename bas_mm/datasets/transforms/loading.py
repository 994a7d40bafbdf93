"""Loading of images, boxes and masks."""

from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms import LoadImageFromFile as StockLoader
from mmengine import fileio

from bas_mm.registry import TRANSFORMS
from bas_mm.utils.images import read_image


@TRANSFORMS.register_module()
class LoadImageFromFile(StockLoader):
    """Load an image with the reader of inference: same files, same errors.

    A file that is no image, or has lost its end (which OpenCV would fill with
    gray), stops with its name. To leave such files out, set
    ``on_error='skip'`` of the data set.

    **Added Keys:**

    - img: BGR, ``(h, w, 3)`` uint8 (or as ``color_type`` says)
    - img_shape, ori_shape: ``(h, w)``
    - detail (optional): the image, which later transforms leave as it is

    Args:
        keep_detail: Keep the image beside what becomes of it, for
            :class:`bas_mm.models.ZoomRefiner`.
        *args, **kwargs: Those of :class:`mmcv.transforms.LoadImageFromFile`.

    Raises:
        ValueError: If ``ignore_empty`` is set: another image, drawn at random,
            would silently take the place.
    """

    def __init__(self, *args: Any, keep_detail: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keep_detail = keep_detail
        if self.ignore_empty or self.file_client_args is not None:
            raise ValueError(
                'bas_mm.LoadImageFromFile takes no `ignore_empty`, which puts a random '
                "image in the place of one that cannot be read (set on_error='skip' of "
                'the data set), and no `file_client_args` (use `backend_args`).'
            )

    def transform(self, results: dict) -> dict:
        """Load the image of ``img_path``."""
        try:
            image = read_image(
                results['img_path'],
                self.color_type,
                thorough=False,
                backend=self.imdecode_backend,
                backend_args=self.backend_args,
            )
        except ValueError as error:
            raise ValueError(
                f"{error} Correct the file, or set on_error='skip' of the data set "
                '(`--cfg-options SPLIT_dataloader.dataset.on_error=skip`).'
            ) from error
        if self.to_float32:
            image = image.astype(np.float32)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        if self.keep_detail:
            results['detail'] = image
        return results


@TRANSFORMS.register_module()
class LoadLocAnnotations(BaseTransform):
    """Put boxes and the mask of an image into the results.

    Belongs after ``LoadImageFromFile`` and before any transform that moves
    pixels. What an image does not have stays absent.

    **Required Keys:**

    - img
    - gt_bboxes (optional): ``(n, 4)``, ``xyxy`` in pixels of the loaded image
    - seg_map_path (optional): of the mask, or a list of those of several objects
    - ignore_map_path (optional): of a mask of parts to ignore

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
        fit: Scale masks of another size to that of the image, by nearest
            neighbor.

    Raises:
        ValueError: If a mask is not of the image's size or has colors, or
            boxes are not ``(n, 4)``.
        FileNotFoundError: If the mask's file does not exist.

    Example:
        >>> results = dict(img=np.zeros((4, 5, 3)), gt_bboxes=[[0, 0, 5, 4]])
        >>> LoadLocAnnotations()(results)['gt_bboxes'].dtype
        dtype('float32')
    """

    def __init__(
        self, threshold: int = 1, ignore: int | None = None, fit: bool = False
    ) -> None:
        if threshold < 1:
            raise ValueError(
                '`threshold` of LoadLocAnnotations must be at '
                f'least 1 (0 is background), got {threshold}.'
            )
        self.threshold = threshold
        self.ignore = ignore
        self.fit = fit

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
            results['gt_seg_map'] = self._load_masks(results)
        return results

    def _load_masks(self, results: dict) -> np.ndarray:
        """Join the masks of objects, and of what is ignored around them."""
        paths, shape = results['seg_map_path'], results['img'].shape[:2]
        if isinstance(paths, str):
            paths = [paths]
        masks = np.stack([self._load_mask(path, shape) for path in paths])
        mask = (masks == 1).any(0).astype(np.uint8)
        left_out = (masks == 255).any(0)
        if results.get('ignore_map_path') is not None:
            left_out |= self._load_mask(results['ignore_map_path'], shape) == 1
        mask[left_out & (mask == 0)] = 255
        return mask

    def _load_mask(self, path: str, shape: tuple[int, int]) -> np.ndarray:
        """Read a mask, ``shape`` uint8, of 0, 1 and 255."""
        gray = load_gray(path)
        if self.fit and gray.shape != tuple(shape):
            gray = cv2.resize(gray, shape[::-1], interpolation=cv2.INTER_NEAREST)
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
            f'{type(self).__name__}(threshold={self.threshold}, ignore={self.ignore}, '
            f'fit={self.fit})'
        )


def load_gray(path: str) -> np.ndarray:
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
