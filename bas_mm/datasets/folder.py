"""A folder of images as a person leaves it: split, boxes and masks are found."""

import os
import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bas_mm.datasets.annotations import holds_predictions
from bas_mm.datasets.custom import CustomLocalization
from bas_mm.datasets.files import list_folders, require_class_folders
from bas_mm.utils.files import IMG_EXTENSIONS

#: Share of each class that is held out where the folder has no test images.
HOLD_OUT = 0.2


@dataclass(frozen=True)
class ImageFolder:
    """How a folder of images is laid out.

    Attributes:
        root: The root for the data sets.
        splits: Names of the splits.
        common: What all of them are given.
        truth: What there is to measure with: ``box_file``, ``mask_dir``.
        predicted: Whether there are boxes that were predicted, and are not used.
    """

    root: str
    splits: Sequence[str]
    common: dict[str, Any]
    truth: dict[str, str]
    predicted: bool

    def settings(self, split: str) -> dict[str, Any]:
        """Give the settings of the data set of a split."""
        return dict(self.common) if split == 'train' else self.common | self.truth

    def measures(self) -> str:
        """Say what there is to measure with."""
        names = ', '.join(map(osp.basename, self.truth.values()))
        note = '; boxes.json holds predictions (they have scores), not used'
        return (names or 'no boxes, no masks') + note * self.predicted


def read_folder(root: str) -> ImageFolder:
    """Find out how a folder of images is laid out.

    Args:
        root: ``train/<class>/`` and ``test/<class>/`` (or ``val/``); or the class
            folders alone, here or in ``train/``. ``boxes.json`` (COCO) and
            ``masks/`` beside them are found; boxes with scores are predictions,
            as ``bas-mm export`` writes them, and are no truth.

    Returns:
        The layout.

    Raises:
        FileNotFoundError: If there is no image in a folder.
    """
    require_class_folders(root)
    layout = CustomLocalization(root, lazy_init=True).layout
    boxes, masks = osp.join(root, 'boxes.json'), osp.join(root, 'masks')
    predicted = osp.isfile(boxes) and holds_predictions(boxes)
    truth = {}
    if osp.isfile(boxes) and not predicted:
        truth['box_file'] = osp.abspath(boxes)
    if _holds_masks(masks):
        truth['mask_dir'] = osp.abspath(masks)
    splits: Sequence[str] = layout
    common: dict[str, Any] = {}
    if layout in ([], ['train']):
        common = dict(split_seed=0, test_ratio=HOLD_OUT)
        # no folder of masks is a class, for either split
        common |= {k: v for k, v in truth.items() if k == 'mask_dir'}
        root, splits = osp.join(root, *layout), ('train', 'test')
    return ImageFolder(root, splits, common, truth, predicted)


def _holds_masks(folder: str) -> bool:
    """Whether a folder holds folders and no images: masks, not a class."""
    if not osp.isdir(folder) or not list_folders(folder):
        return False
    return not any(x.lower().endswith(IMG_EXTENSIONS) for x in os.listdir(folder))
