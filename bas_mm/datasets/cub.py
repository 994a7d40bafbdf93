"""CUB-200-2011 with boxes and masks for localization."""

import os
import os.path as osp
import re
from functools import partial
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import CUB

from bas_mm.datasets.annotations import read_table
from bas_mm.datasets.box_check import BoxCheck
from bas_mm.datasets.checked import CheckedData
from bas_mm.datasets.files import require_folder
from bas_mm.registry import DATASETS
from bas_mm.utils.threads import run_parallel

#: Share of the sides of an image that official boxes may reach outside.
SLACK = 0.05


@DATASETS.register_module()
class CUBLocalization(CheckedData, CUB):
    """CUB-200-2011 with ground-truth boxes and masks.

    The folder has the official layout ::

        CUB_200_2011
        ├── images/<class>/<name>.jpg
        ├── images.txt                 id path
        ├── image_class_labels.txt     id class (from 1)
        ├── train_test_split.txt       id 1|0   (1: train)
        ├── bounding_boxes.txt         id x y w h   (optional)
        ├── classes.txt                id name      (optional)
        └── segmentations/<class>/<name>.png        (optional)

    Class names and their number come from ``classes.txt`` where it exists
    (the leading ``001.`` is dropped), so that a part with fewer species works
    as it is; from mmpretrain's list otherwise.

    Beside ``img_path`` and ``gt_label`` an item's info holds

    - ``gt_bboxes``: ``(1, 4)`` float32, ``xyxy`` in pixels of the image on
      disk, ``(x, y, x + w, y + h)`` of ``bounding_boxes.txt``; absent when
      there is no such file.
    - ``seg_map_path``: path of the mask, absent when there is none. The
      official masks hold gray levels (how many annotators agree): load them
      with ``LoadLocAnnotations(threshold=128)``.

    Args:
        data_root: The root folder.
        split: ``'train'`` or ``'test'``.
        test_mode: As in :class:`mmpretrain.datasets.CUB`.
        on_error: What to do about an image that cannot be read or is listed
            twice, and a box with swapped corners, without area or outside its
            image: ``'raise'``, or ``'skip'`` it, with a warning that counts and
            names. For the second, all images are read once when the data set
            is loaded.
        metainfo: Meta information; its ``classes`` win over ``classes.txt``.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.CUB`.

    Raises:
        FileNotFoundError: If the folder or one of its three obligatory lists
            is missing.
        ValueError: If ``split`` is neither of the two, a line cannot be
            read, an id is in one list but not in another, a label has no
            class, or ``on_error='raise'`` and a box is wrong or an image
            listed twice.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        test_mode: bool = False,
        metainfo: dict | None = None,
        on_error: str = 'raise',
        **kwargs: Any,
    ) -> None:
        self.init_checks(on_error)
        if split not in ('train', 'test'):
            raise ValueError(
                f"`split` of {type(self).__name__} must be 'train' or "
                f"'test', but got {split!r}."
            )
        data_root = require_folder(
            data_root,
            'images.txt',
            'image_class_labels.txt',
            'train_test_split.txt',
            'images',
        )
        metainfo = dict(metainfo or {})
        classes = osp.join(data_root, 'classes.txt')
        if (
            'classes' not in metainfo
            and kwargs.get('classes') is None
            and osp.exists(classes)
        ):
            metainfo['classes'] = _read_classes(classes)
        super().__init__(
            data_root=data_root,
            split=split,
            test_mode=test_mode,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Read the lists of the official release.

        Returns:
            One info for each image of the split.
        """
        names = read_table(self.ann_file, (str,), 'id path')
        labels = self._read_list(
            self.image_class_labels_file, (int,), 'id class', names
        )
        splits = self._read_list(self.train_test_split_file, (int,), 'id 0|1', names)
        boxes_file = osp.join(self.data_root, 'bounding_boxes.txt')
        boxes = None
        if osp.exists(boxes_file):
            boxes = self._read_list(boxes_file, (float,) * 4, 'id x y w h', names)
        masks = self._list_masks()
        data_list: list[dict[str, Any]] = []
        keys: dict[str, int] = {}
        taken: set[str] = set()
        for key, (name,) in names.items():
            label = self._check_label(key, labels[key][0])
            wanted = self._is_wanted(key, splits[key][0])
            if name in taken:
                self.note_twice(name, self.ann_file)
                continue
            taken.add(name)
            if not wanted:
                continue
            info = dict(
                img_path=self.backend.join_path(self.img_prefix, name),
                gt_label=label - 1,
            )
            mask = osp.splitext(name)[0] + '.png'
            if mask in masks:
                info['seg_map_path'] = osp.join(self.data_root, 'segmentations', mask)
            keys[info['img_path']] = key
            data_list.append(info)
        data_list = self.leave_unreadable(data_list)
        if boxes is not None:
            self._add_boxes(data_list, boxes, keys, boxes_file)
        without_mask = sum('seg_map_path' not in info for info in data_list)
        if masks and without_mask:
            MMLogger.get_current_instance().warning(
                f'{without_mask} of {len(data_list)} images of the '
                f'{self.split} split have no mask in '
                f'`{osp.join(self.data_root, "segmentations")}`.'
            )
        return data_list

    def _add_boxes(
        self, data_list: list[dict], boxes: dict, keys: dict[str, int], source: str
    ) -> None:
        """Put the boxes into the infos of the images."""
        check = BoxCheck(source, corners=False, slack=SLACK)
        paths = [info['img_path'] for info in data_list]
        sizes = run_parallel(partial(self.size_of, turned=False), paths)
        for info, size in zip(data_list, sizes):
            key = keys[info['img_path']]
            x, y, w, h = boxes[key]
            name = f'{osp.relpath(info["img_path"], self.img_prefix)} (id {key})'
            good = check(name, [[x, y, x + w, y + h]], size)
            if good:
                info['gt_bboxes'] = np.array(good, dtype=np.float32)
        self.end_check(check)

    def _read_list(
        self, path: str, types: tuple, expected: str, names: dict
    ) -> dict[int, tuple]:
        """Read a list that must hold the same ids as ``images.txt``."""
        table = read_table(path, types, expected)
        for here, there, a, b in (
            (names, table, self.ann_file, path),
            (table, names, path, self.ann_file),
        ):
            single = sorted(here.keys() - there.keys())
            if single:
                raise ValueError(
                    f'{len(single)} ids are in `{a}` but not in `{b}`, the first '
                    f'is {single[0]}: both lists must hold the same images.'
                )
        return table

    def _check_label(self, key: int, label: int) -> int:
        if not 1 <= label <= len(self.CLASSES):
            raise ValueError(
                f'{self.image_class_labels_file}, id {key}: expected a '
                f'class from 1 to {len(self.CLASSES)}, got {label}.'
            )
        return label

    def _is_wanted(self, key: int, train: int) -> bool:
        if train not in (0, 1):
            raise ValueError(
                f'{self.train_test_split_file}, id {key}: expected 1 '
                f'(train) or 0 (test), got {train}.'
            )
        return bool(train) == (self.split == 'train')

    def _list_masks(self) -> set[str]:
        """List the relative paths of all masks, the folder read once."""
        root = osp.join(self.data_root, 'segmentations')
        return {
            osp.relpath(osp.join(folder, name), root).replace(os.sep, '/')
            for folder, _, files in os.walk(root)
            for name in files
        }


def _read_classes(path: str) -> tuple[str, ...]:
    """Read the names of the classes, without their numbers."""
    table = read_table(path, (str,), 'id name')
    if sorted(table) != list(range(1, len(table) + 1)):
        raise ValueError(f'{path}: the ids must be 1 to {len(table)}.')
    return tuple(re.sub(r'^\d+\.', '', table[i + 1][0]) for i in range(len(table)))
