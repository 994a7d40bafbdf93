"""Pseudo labels in training: read, and moved with the pixels.

They have names of their own, ``pseudo_*``: ground-truth boxes and masks
(``gt_*``) cannot take their place.
"""

import os.path as osp
from collections.abc import Iterable, Mapping
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmpretrain.datasets.transforms import RandomResizedCrop

from bas_mm.datasets.annotations import BoxedImage, read_coco_boxes
from bas_mm.datasets.files import list_files
from bas_mm.datasets.transforms.loading import load_gray
from bas_mm.registry import TRANSFORMS

#: What of a data set's annotations says where objects are.
TRUE_LABELS = ('gt_bboxes', 'gt_seg_map', 'seg_map_path')
_CURE = (
    'write boxes with `bas-mm ddt CONFIG --out boxes.json` or `bas-mm export CONFIG '
    'CHECKPOINT --out boxes.json` (the README of the method says what it needs) and '
    'give them with --cfg-options pseudo_file=boxes.json'
)


@TRANSFORMS.register_module()
class LoadPseudoLabels(BaseTransform):
    """Put the pseudo label of an image into the results, and true ones out.

    Belongs after the loader and before any transform that moves pixels. The
    loader must turn images by their EXIF tag (its default), as the commands
    that write pseudo labels do.

    **Required Keys:**

    - img, img_path

    **Added Keys:**

    - pseudo_bbox: ``(4,)`` float32, ``xyxy`` in pixels of the loaded image, max
      exclusive; of several boxes the largest. From a file.
    - pseudo_mask: ``(h, w)`` uint8, 0 background, 1 foreground, 255 ignored.
      From a folder.

    **Removed Keys:**

    - gt_bboxes, gt_seg_map, seg_map_path

    Args:
        file: A COCO json file, as ``bas-mm export`` and ``bas-mm ddt`` write it,
            for boxes; or a folder, as ``bas-mm pseudo-masks`` writes it, for
            masks. An image is found by its path, of which the name in the file
            is the end.
        missing: What to do about an image without a label: ``'raise'``, or
            take the ``'whole'`` image for the object.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not like this, ``missing`` is none of the two, or
            an image has no label or one for another size.
    """

    def __init__(self, file: str, missing: str = 'raise') -> None:
        if missing not in ('raise', 'whole'):
            raise ValueError(
                "`missing` of LoadPseudoLabels must be 'raise' or 'whole', got "
                f'{missing!r}.'
            )
        if not file:
            raise ValueError(f'This method learns from pseudo labels: {_CURE}.')
        if not osp.exists(file):
            raise FileNotFoundError(f'There are no pseudo labels {file!r}: {_CURE}.')
        self.file = file
        self.missing = missing
        self.labels: Mapping[str, BoxedImage | str] = (
            list_files(file, '.png')
            if osp.isdir(file)
            else {_bare(one.name): one for one in read_coco_boxes(file)[0]}
        )

    def find(self, img_path: str) -> BoxedImage | str | None:
        """Find the label of an image, None if it has none."""
        parts = osp.normpath(img_path).replace(osp.sep, '/').split('/')
        names = ('/'.join(parts[i:]) for i in range(len(parts)))
        return next((self.labels[n] for n in names if n in self.labels), None)

    def check_images(self, paths: Iterable[str]) -> None:
        """Check that all images have a label, before the first is read.

        Raises:
            ValueError: If one has none and ``missing='raise'``.
        """
        if self.missing == 'raise':
            paths = list(paths)
            lost = [path for path in paths if self.find(path) is None]
            if lost:
                raise ValueError(self._explain(lost[0], f'{len(lost)} of {len(paths)}'))

    def _explain(self, path: str, count: str) -> str:
        return (
            f'{self.file!r} has no pseudo label for {count} training images, the first '
            f'is {path!r} (it has {len(self.labels)}, such as '
            f'{next(iter(self.labels), None)!r}): write it anew for these images and '
            "--split train, or set `missing='whole'` of LoadPseudoLabels to take "
            'whole images there.'
        )

    def transform(self, results: dict) -> dict:
        """Put the label in."""
        for key in TRUE_LABELS:
            results.pop(key, None)
        h, w = results['img'].shape[:2]
        found = self.find(results['img_path'])
        if found is None and self.missing == 'raise':
            raise ValueError(self._explain(results['img_path'], 'one of the'))
        if isinstance(found, str) or (found is None and osp.isdir(self.file)):
            mask = np.ones((h, w), np.uint8) if found is None else load_gray(found)
            self._check_size(results, mask.shape[::-1])
            results['pseudo_mask'] = mask
            return results
        boxes = np.array([[0, 0, w, h]]) if found is None else found.boxes
        if found is not None and found.size is not None:
            self._check_size(results, found.size)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        results['pseudo_bbox'] = boxes[area.argmax()].astype(np.float32)
        return results

    def _check_size(self, results: dict, size: tuple[int, ...]) -> None:
        h, w = results['img'].shape[:2]
        if tuple(size) != (w, h):
            raise ValueError(
                f'The pseudo label of {results["img_path"]!r} is for an image of '
                f'{size[0]}x{size[1]} pixels, and it has {w}x{h}: load images turned '
                "by their EXIF tag (no `color_type='color_ignore_orientation'`) and "
                'put LoadPseudoLabels before what resizes, or write the labels anew.'
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(file={self.file!r}, missing={self.missing!r})'


def _bare(name: str) -> str:
    """Leave out what leads to the root: ``../a/b.jpg`` is ``a/b.jpg``."""
    return '/'.join(part for part in name.split('/') if part not in ('', '.', '..'))


@TRANSFORMS.register_module()
class PseudoResizedCrop(RandomResizedCrop):
    """Crop at random, and resize; the pseudo label moves along (PSOL).

    Zhang, Cao, Wu, CVPR 2020. A crop is drawn again until it meets the pseudo
    box, which is cut to the crop; after ``tries`` the whole image is taken. A
    mask is cut as it is.

    **Modified Keys:**

    - img, img_shape
    - pseudo_bbox (optional): in pixels of the view
    - pseudo_mask (optional): ``scale``

    Args:
        scale: ``(h, w)`` of the view, or its side.
        crop_ratio_range: Bounds of the crop's share of the image.
        tries: How often a crop is drawn.
        **kwargs: See :class:`mmpretrain.datasets.transforms.RandomResizedCrop`.
    """

    def __init__(
        self,
        scale: int | tuple[int, int],
        crop_ratio_range: tuple[float, float] = (0.2, 1.0),
        tries: int = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(scale, crop_ratio_range, **kwargs)
        self.tries = tries

    def transform(self, results: dict) -> dict:
        """Crop image and label."""
        img, box = results['img'], results.get('pseudo_bbox')
        for _ in range(self.tries):
            top, left, h, w = self.rand_crop_params(img)
            if box is None or _meets(box, (left, top, left + w, top + h)):
                break
        else:
            top, left, (h, w) = 0, 0, img.shape[:2]
        size = self.scale[::-1]
        results['img'] = mmcv.imresize(
            img[top : top + h, left : left + w],
            size,
            interpolation=self.interpolation,
            backend=self.backend,
        )
        results['img_shape'] = results['img'].shape[:2]
        if box is not None:
            low, high = np.array([left, top] * 2), np.array([left + w, top + h] * 2)
            factor = np.array([size[0] / w, size[1] / h] * 2)
            moved = (np.clip(box, low, high) - low) * factor
            results['pseudo_bbox'] = moved.astype(np.float32)
        if 'pseudo_mask' in results:
            part = results['pseudo_mask'][top : top + h, left : left + w]
            results['pseudo_mask'] = mmcv.imresize(part, size, interpolation='nearest')
        return results


def _meets(box: np.ndarray, crop: tuple[int, int, int, int]) -> bool:
    """Whether a box and a crop, both ``xyxy``, share any area."""
    low, high = np.maximum(box[:2], crop[:2]), np.minimum(box[2:], crop[2:])
    return bool((high > low).all())


@TRANSFORMS.register_module()
class PseudoFlip(BaseTransform):
    """Mirror image and pseudo label, left to right, at random.

    **Modified Keys:**

    - img
    - pseudo_bbox, pseudo_mask (optional)

    Args:
        prob: How often.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    @cache_randomness
    def choose(self) -> bool:
        """Draw whether an image is mirrored."""
        return bool(np.random.rand() < self.prob)

    def transform(self, results: dict) -> dict:
        """Mirror, or leave it."""
        if not self.choose():
            return results
        for key in ('img', 'pseudo_mask'):
            if key in results:
                results[key] = np.ascontiguousarray(results[key][:, ::-1])
        if 'pseudo_bbox' in results:
            box = results['pseudo_bbox'].copy()
            box[[0, 2]] = results['img'].shape[1] - box[[2, 0]]
            results['pseudo_bbox'] = box
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'
