"""CUB-200-2011 with boxes and masks for localization."""

import os
import os.path as osp
import re

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import CUB

from bas_mm.datasets.annotations import read_table
from bas_mm.datasets.files import require_folder
from bas_mm.registry import DATASETS


@DATASETS.register_module()
class CUBLocalization(CUB):
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
    (the leading ``001.`` is dropped), so that a cut with fewer species just
    works; from mmpretrain's list otherwise.

    Beside ``img_path`` and ``gt_label`` an item's info holds

    - ``gt_bboxes``: ``(1, 4)`` float32, xyxy in pixels of the picture on
      disk, ``(x, y, x + w, y + h)`` of ``bounding_boxes.txt``; absent when
      there is no such file.
    - ``seg_map_path``: path of the mask, absent when there is none. The
      official masks hold grey levels (how many annotators agree): load them
      with ``LoadLocAnnotations(threshold=128)``.

    Args:
        data_root (str): The root folder.
        split (str): "train" or "test". Defaults to "train".
        test_mode (bool): As in :class:`mmpretrain.datasets.CUB`.
        metainfo (dict, optional): Meta information; its ``classes`` win over
            ``classes.txt``.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.CUB`.

    Raises:
        FileNotFoundError: If the folder or one of its three obligatory lists
            is missing.
        ValueError: If ``split`` is neither of the two, a line cannot be
            read, an id is in one list but not in another, a label has no
            class, or a box has no area.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        test_mode: bool = False,
        metainfo: dict | None = None,
        **kwargs,
    ):
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
            table = read_table(classes, (str,), 'id name')
            if sorted(table) != list(range(1, len(table) + 1)):
                raise ValueError(f'{classes}: the ids must be 1 to {len(table)}.')
            metainfo['classes'] = tuple(
                re.sub(r'^\d+\.', '', table[i + 1][0]) for i in range(len(table))
            )
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
            list[dict]: One info for each picture of the split.
        """
        names = read_table(self.ann_file, (str,), 'id path')
        labels = read_table(self.image_class_labels_file, (int,), 'id class')
        splits = read_table(self.train_test_split_file, (int,), 'id 0|1')
        tables = [
            (self.image_class_labels_file, labels),
            (self.train_test_split_file, splits),
        ]
        boxes_file = osp.join(self.data_root, 'bounding_boxes.txt')
        boxes = None
        if osp.exists(boxes_file):
            boxes = read_table(boxes_file, (float,) * 4, 'id x y w h')
            tables.append((boxes_file, boxes))
        for path, table in tables:
            self._require_same_ids(names, table, path)

        masks = self._list_masks()
        data_list, without_mask = [], 0
        for key, (name,) in names.items():
            label, train = labels[key][0], splits[key][0]
            if train not in (0, 1):
                raise ValueError(
                    f'{self.train_test_split_file}, id {key}: expected 1 '
                    f'(train) or 0 (test), got {train}.'
                )
            if not 1 <= label <= len(self.CLASSES):
                raise ValueError(
                    f'{self.image_class_labels_file}, id {key}: expected a '
                    f'class from 1 to {len(self.CLASSES)}, got {label}.'
                )
            if bool(train) != (self.split == 'train'):
                continue
            info = dict(
                img_path=self.backend.join_path(self.img_prefix, name),
                gt_label=label - 1,
            )
            if boxes is not None:
                x, y, w, h = boxes[key]
                if not (w > 0 and h > 0 and np.isfinite([x, y, w, h]).all()):
                    raise ValueError(
                        f'{boxes_file}, id {key}: expected `x y w h` with a '
                        f'width and a height above 0, got {boxes[key]}.'
                    )
                info['gt_bboxes'] = np.array([[x, y, x + w, y + h]], dtype=np.float32)
            mask = osp.splitext(name)[0] + '.png'
            if mask in masks:
                info['seg_map_path'] = osp.join(self.data_root, 'segmentations', mask)
            else:
                without_mask += 1
            data_list.append(info)
        if masks and without_mask:
            MMLogger.get_current_instance().warning(
                f'{without_mask} of {len(data_list)} pictures of the '
                f'{self.split} split have no mask in '
                f'`{osp.join(self.data_root, "segmentations")}`.'
            )
        return data_list

    def _require_same_ids(self, names: dict, table: dict, path: str) -> None:
        for here, there, a, b in (
            (names, table, self.ann_file, path),
            (table, names, path, self.ann_file),
        ):
            odd = sorted(here.keys() - there.keys())
            if odd:
                raise ValueError(
                    f'{len(odd)} ids are in `{a}` but not in `{b}`, the first '
                    f'is {odd[0]}: both lists must hold the same pictures.'
                )

    def _list_masks(self) -> set:
        """Relative paths of all masks: one listing, no stat per picture."""
        root = osp.join(self.data_root, 'segmentations')
        return {
            osp.relpath(osp.join(folder, name), root).replace(os.sep, '/')
            for folder, _, files in os.walk(root)
            for name in files
        }
