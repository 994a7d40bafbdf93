"""Loading, ten-crop and packing of boxes and masks for localization."""

from typing import Optional, Sequence, Tuple, Union

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, CenterCrop
from mmengine import fileio
from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.datasets.transforms.formatting import to_tensor

from ..registry import TRANSFORMS


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

    def __init__(self, threshold: int = 1, ignore: Optional[int] = None):
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

    def _load_mask(self, path: str, shape: Tuple[int, int]) -> np.ndarray:
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


@TRANSFORMS.register_module()
class TenCrop(CenterCrop):
    """The centre crop as the view, and the other nine crops of the ten.

    ``img``, ``gt_bboxes`` (clipped to the view; a box that vanishes stays
    with no area, so that its picture still counts) and ``gt_seg_map`` become
    those of the centre crop. ``crops`` holds, in this order: top left, top
    right, bottom left, bottom right, the centre mirrored, and the four
    corners mirrored. Classification averages the scores of all ten
    (section 3 of the method's recipe); localization uses the view.

    **Modified Keys:**

    - img, img_shape, gt_bboxes (optional), gt_seg_map (optional)

    **Added Keys:**

    - crops: ``(9, c, h, w)``, type of ``img``

    Args:
        crop_size (int | Sequence[int]): Size of a crop, ``(w, h)`` or one
            number for both.

    Raises:
        ValueError: If the picture is smaller than the crop.
    """

    def __init__(self, crop_size: Union[int, Sequence[int]]):
        super().__init__(crop_size if isinstance(crop_size, int) else tuple(crop_size))

    def transform(self, results: dict) -> dict:
        """Cut the ten crops.

        Args:
            results (dict): Results with ``img`` ``(H, W, c)``.

        Returns:
            dict: The results of the centre crop, and ``crops``.
        """
        img = results['img']
        (w, h), (height, width) = self.crop_size, img.shape[:2]
        if h > height or w > width:
            raise ValueError(
                f'TenCrop needs a picture of at least {w}x{h} pixels, but '
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
        if crops.ndim == 3:  # grey pictures
            crops = crops[..., None]
        results['crops'] = np.ascontiguousarray(crops.transpose(0, 3, 1, 2))
        return results


@TRANSFORMS.register_module()
class PackLocInputs(PackInputs):
    """``PackInputs`` for localization: boxes, masks and the ten crops.

    Adds to what :class:`mmpretrain.datasets.transforms.PackInputs` packs

    - ``data_samples.gt_bboxes``: ``(n, 4)`` float32 tensor, xyxy, pixels of
      the view (max exclusive), where the picture has boxes;
    - ``data_samples.gt_seg_map``: ``(h, w)`` uint8 tensor, where it has one;
    - ``crops``: ``(9, c, h, w)`` tensor, after :class:`TenCrop`.

    Args:
        input_key (str): The key of the picture. Defaults to 'img'.
        algorithm_keys (Sequence[str]): Keys put into the data sample as
            tensors. Defaults to ``('gt_bboxes', 'gt_seg_map')``.
        meta_keys (Sequence[str]): Keys put into its meta information.
            Defaults to ``PackInputs.DEFAULT_META_KEYS``.
    """

    def __init__(
        self,
        input_key: str = 'img',
        algorithm_keys: Sequence[str] = ('gt_bboxes', 'gt_seg_map'),
        meta_keys: Sequence[str] = PackInputs.DEFAULT_META_KEYS,
    ):
        super().__init__(input_key, algorithm_keys, meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one picture.

        Args:
            results (dict): The results of the pipeline.

        Returns:
            dict: ``inputs``, ``data_samples`` and, after TenCrop, ``crops``.
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
        return packed
