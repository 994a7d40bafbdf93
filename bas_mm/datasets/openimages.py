"""OpenImages30k of the WSOL benchmark: masks with parts that are ignored."""

import os.path as osp
from collections import defaultdict
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import BaseDataset

from bas_mm.datasets.checked import CheckedData
from bas_mm.datasets.files import DATA_ROOT_HINT, require_folder
from bas_mm.registry import DATASETS

SPLITS = ('train', 'val', 'test')
#: Where the benchmark's lists of a split may lie, below the data root.
META_FOLDERS = ('metadata/{}', 'metadata/OpenImages/{}', 'meta/{}')


@DATASETS.register_module()
class OpenImagesLocalization(CheckedData, BaseDataset):
    """The 30k images of OpenImages V5 that the WSOL benchmark uses.

    Choe et al., "Evaluating Weakly Supervised Object Localization Methods
    Right", CVPR 2020. There are no boxes: localization is measured by masks
    (PxAP). The folder has this layout, with the benchmark's own lists ::

        OpenImages
        ├── train|val|test/<class>/*.jpg
        ├── val|test/<class>/*.png                 masks
        └── metadata/<split>/
            ├── class_labels.txt                   path,label
            └── localization.txt                   path,mask,ignored part

    Paths are relative to ``data_root``. ``localization.txt`` has a line for
    each mask of an image; the third field is the mask of the parts that hold
    objects nobody has outlined, and may be empty. The classes are called
    as the folders of their images.

    Beside ``img_path`` and ``gt_label`` an item's info holds, outside of
    training:

    - ``seg_map_path``: paths of the masks of all objects, a list;
    - ``ignore_map_path``: path of the ignored parts; absent for none;
    - ``mask_any_size``: True: masks need not have the size of the image. Load
      them with ``LoadLocAnnotations(fit=True)``.

    Args:
        data_root: The root folder.
        split: ``'train'``, ``'val'`` or ``'test'``.
        ann_dir: The folder of the lists of the split, relative to
            ``data_root`` or absolute; None looks in ``metadata/<split>``,
            ``metadata/OpenImages/<split>`` and ``meta/<split>``.
        metainfo: Meta information; its ``classes`` win.
        on_error: What to do about an image that cannot be read or is listed
            twice: ``'raise'``, or ``'skip'`` it, with a warning that counts
            and names.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        FileNotFoundError: If a folder or a list is missing.
        ValueError: If ``split`` is none of the three, a line cannot be read,
            a class has two folders, or ``on_error='raise'`` and an image is
            listed twice.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        ann_dir: str | None = None,
        metainfo: dict | None = None,
        on_error: str = 'raise',
        **kwargs: Any,
    ) -> None:
        self.init_checks(on_error)
        if split not in SPLITS:
            raise ValueError(
                f'`split` of OpenImagesLocalization must be one of {SPLITS}, but got '
                f'{split!r}.'
            )
        data_root = require_folder(data_root)
        self.split = split
        places = [ann_dir] if ann_dir else [p.format(split) for p in META_FOLDERS]
        found = [osp.join(data_root, osp.expanduser(p)) for p in places]
        self.ann_dir = next(filter(osp.isdir, found), found[0])
        self.samples = self._read_labels()
        metainfo = dict(metainfo or {})
        if 'classes' not in metainfo and kwargs.get('classes') is None:
            metainfo['classes'] = self._find_classes()
        super().__init__(ann_file='', data_root=data_root, metainfo=metainfo, **kwargs)

    def _read(self, name: str, fields: int, expected: str) -> list[list[str]]:
        """Read a list of lines with commas."""
        path = osp.join(self.ann_dir, name)
        if not osp.exists(path):
            raise FileNotFoundError(
                f'The list `{path}` does not exist: set `ann_dir` of the data set to '
                f"the folder of the benchmark's lists, or {DATA_ROOT_HINT}."
            )
        rows = []
        with open(path, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                row = [part.strip() for part in line.split(',')]
                if row == ['']:
                    continue
                if len(row) != fields or not row[0] or not row[1]:
                    raise ValueError(
                        f'{path}, line {number}: expected `{expected}`, got '
                        f'`{line.strip()}`.'
                    )
                rows.append(row)
        return rows

    def _read_labels(self) -> dict[str, int]:
        """Read the labels of the images, by their paths."""
        labels: dict[str, int] = {}
        for name, label in self._read('class_labels.txt', 2, 'path,label'):
            if not label.isdecimal():
                raise ValueError(
                    f'{self.ann_dir}/class_labels.txt: the label of `{name}` must be '
                    f'a number from 0, got `{label}`.'
                )
            if name in labels:
                self.note_twice(name, f'{self.ann_dir}/class_labels.txt')
            else:
                labels[name] = int(label)
        return labels

    def _find_classes(self) -> tuple[str, ...]:
        """Name the classes as the folders of their images."""
        names: dict[int, str] = {}
        for path, label in self.samples.items():
            folder = osp.basename(osp.dirname(path))
            if names.setdefault(label, folder) != folder:
                raise ValueError(
                    f'{self.ann_dir}/class_labels.txt: images of class {label} are in '
                    f'the folders `{names[label]}` and `{folder}`: a class is one '
                    'folder.'
                )
        missing = set(range(len(names))) - names.keys()
        if missing:
            raise ValueError(
                f'{self.ann_dir}/class_labels.txt: no image of class {min(missing)}; '
                f'the {len(names)} labels must be 0 to {len(names) - 1}, or name all '
                'classes in `metainfo` of the data set.'
            )
        return tuple(names[i] for i in range(len(names)))

    def load_data_list(self) -> list[dict]:
        """List the images, their labels and, outside of training, masks.

        Returns:
            One info for each image of the split.
        """
        infos: list[dict[str, Any]] = [
            dict(img_path=osp.join(self.data_root, name), gt_label=label)
            for name, label in self.samples.items()
        ]
        if infos and not osp.exists(infos[0]['img_path']):
            raise FileNotFoundError(
                f'The first image of `{self.ann_dir}`, `{infos[0]["img_path"]}`, does '
                f'not exist: {DATA_ROOT_HINT}.'
            )
        infos = self.leave_unreadable(infos)
        if self.split != 'train' or self.test_mode:
            self._add_masks(infos)
        return infos

    def _add_masks(self, infos: list[dict[str, Any]]) -> None:
        """Put the paths of the masks into the infos of the images."""
        if self.split == 'train' and not osp.exists(
            osp.join(self.ann_dir, 'localization.txt')
        ):
            return  # the benchmark has none; a look at the training images goes on
        masks, ignored = defaultdict(list), {}
        for name, mask, ignore in self._read(
            'localization.txt', 3, 'path,mask,ignored part'
        ):
            masks[name].append(osp.join(self.data_root, mask))
            if ignore:
                ignored[name] = osp.join(self.data_root, ignore)
        without = 0
        for info in infos:
            name = osp.relpath(info['img_path'], self.data_root).replace('\\', '/')
            if name not in masks:
                without += 1
                continue
            info.update(seg_map_path=masks[name], mask_any_size=True)
            if name in ignored:
                info['ignore_map_path'] = ignored[name]
        if without:
            MMLogger.get_current_instance().warning(
                f'{without} of {len(infos)} images of the {self.split} split have no '
                f'mask in `{self.ann_dir}/localization.txt`.'
            )
