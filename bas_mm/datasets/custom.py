"""Images of your own: a folder per class, boxes and masks optional."""

import os.path as osp
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.custom import get_samples

from bas_mm.datasets.annotations import (
    BoxedImage,
    holds_predictions,
    read_coco_boxes,
    read_voc_boxes,
)
from bas_mm.datasets.box_check import BoxCheck
from bas_mm.datasets.checked import CheckedData
from bas_mm.datasets.files import (
    DATA_ROOT_HINT,
    ImageIndex,
    annotation_folders,
    list_files,
    list_folders,
    require_folder,
)
from bas_mm.datasets.splits import hash_share, hold_out
from bas_mm.registry import DATASETS
from bas_mm.utils.files import IMG_EXTENSIONS

_SPLIT_FOLDERS = dict(train=('train',), test=('test', 'val'), val=('val', 'test'))
# How else these are called.
_OTHER_NAMES = dict(
    training='train', testing='test', valid='val', validation='val', eval='val'
)

# Kinds of warnings.
_EMPTY = 'class folders without images'
_NO_IMAGE = '{} without an image of their name'
_PREDICTED = 'boxes that were predicted (they have scores), taken for the truth'


@DATASETS.register_module()
class CustomLocalization(CheckedData, CustomDataset):
    """A folder per class, with optional boxes and masks.

    Two layouts::

        custom                          custom
        ├── train/<class>/*.jpg         ├── <class>/*.jpg
        └── test/<class>/*.jpg          └── ...
            (or val/)

    In the second, ``split='train'`` and ``split='test'`` divide the one
    folder: an image is held out for the test when the MD5 hash of its path
    (relative to ``data_root``, with ``/``) falls into the lowest
    ``test_ratio`` of all hashes. This never changes for an image, whatever
    is added or removed beside it. ``split=''`` reads everything. With a
    ``split_seed`` the share is exact in each class instead: the images of the
    lowest hashes, at least one and never all of a class; the only image of a
    class is not held out.

    The classes are the folders' names, sorted (of ``train/`` in the first
    layout). A class folder without images is kept, with a warning; folders of
    annotations (XML files, or masks of the images beside) are no classes,
    whether they are named as ``box_file`` and ``mask_dir`` or not; nor are folders
    of what a command of bas-mm wrote.

    Beside ``img_path`` and ``gt_label`` an item's info holds, where the
    image has them, ``gt_bboxes`` (``(n, 4)`` float32, ``xyxy`` in pixels of
    the image as loaded, i.e. turned by its EXIF tag) and ``seg_map_path``.

    Args:
        data_root: The root folder.
        split: ``'train'``, ``'test'``, ``'val'`` (another name for
            ``'test'``), or ``''`` for all.
        box_file: Boxes: a COCO json file, or a folder of Pascal-VOC XML
            files, relative to ``data_root`` or absolute; ``''`` for none. A
            file is matched by the image's path (relative to the class
            folders' parent or to ``data_root``) or, if that is unique, by its
            bare name. Numbers of VOC files are used as they are.
        mask_dir: A folder of PNG masks with the same relative paths as the
            images; ``''`` for none.
        on_error: What to do about an image that cannot be read, one that is
            annotated twice, and a box with swapped corners, without area or
            outside its image, or for an image of another size: ``'raise'``,
            or ``'skip'`` it, with a warning that counts and names. For the
            second, all images are read once when the data set is loaded.
        test_ratio: Share of the images held out for the test when there is
            one folder only.
        split_seed: Hold out ``test_ratio`` of each class, chosen by this
            number; None chooses among all images, see above.
        metainfo: Meta information; its ``classes`` are matched to the folders
            by name, or by order if the names differ.
        extensions: Of the files that are images; case does not matter.
        leave_out: Folders that are no classes, as ``box_file`` and ``mask_dir``
            are none; relative to ``data_root`` or absolute.
        **kwargs: Other arguments of
            :class:`mmpretrain.datasets.CustomDataset`.

    Raises:
        FileNotFoundError: If a folder or file is missing, or there is no
            image.
        ValueError: If an option is not allowed, a folder is called nearly as a
            split is (``Train``, ``valid``), classes and folders do not match, or
            a box is wrong and ``on_error='raise'``.
    """

    def __init__(
        self,
        data_root: str,
        split: str = '',
        box_file: str = '',
        mask_dir: str = '',
        on_error: str = 'raise',
        test_ratio: float = 0.2,
        split_seed: int | None = None,
        metainfo: dict | None = None,
        extensions: Sequence[str] = IMG_EXTENSIONS,
        leave_out: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        _check_options(split, test_ratio)
        self.init_checks(on_error)
        for name in ('ann_file', 'data_prefix'):
            if kwargs.pop(name, None):
                raise ValueError(
                    f'CustomLocalization takes no `{name}`: it reads a folder '
                    "per class; use mmpretrain's CustomDataset for lists."
                )
        data_root = require_folder(data_root)
        self.split = split
        self.test_ratio = test_ratio
        self.split_seed = split_seed
        self.box_file = _find_extra(data_root, 'box_file', box_file)
        self.mask_dir = _find_extra(data_root, 'mask_dir', mask_dir)
        self.leave_out = [
            osp.normpath(osp.join(data_root, osp.expanduser(one))) for one in leave_out
        ]
        self._others: set[str] | None = None
        self._no_classes: list[str] = []
        self.layout = [
            name
            for name in ('train', 'test', 'val')
            # A *class* called "train" has images in it, not folders.
            if osp.isdir(osp.join(data_root, name))
            and list_folders(osp.join(data_root, name))
        ]
        _check_names(data_root, self.layout)
        prefix = _split_folder(data_root, split, self.layout)
        self.hold_out = not prefix
        super().__init__(
            data_root=data_root,
            data_prefix=prefix,
            extensions=extensions,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """List the images and match boxes and masks to them.

        Returns:
            One info for each image of the split.
        """
        samples = self._find_images()
        infos: dict[str, dict] = {
            prefix + name: dict(
                img_path=osp.join(self.data_root, prefix + name), gt_label=label
            )
            for prefix, name, label in samples
        }
        wanted = list(infos)
        if self.hold_out and self.split:
            held = self._held_out({k: info['gt_label'] for k, info in infos.items()})
            wanted = [k for k in infos if (k in held) != (self.split == 'train')]
        if not wanted:
            raise FileNotFoundError(
                f'No images for split={self.split!r} in `{self.img_prefix}` '
                f'({len(infos)} in the folder; extensions '
                f'{sorted(self.extensions)}): {DATA_ROOT_HINT}, a folder per '
                'class' + ('; or raise or lower `test_ratio`.' if infos else '.')
            )
        names = ImageIndex(
            ((prefix, name) for prefix, name, _ in samples),
            osp.basename(osp.abspath(self.data_root)),
        )
        if self.box_file:
            self._add_boxes(infos, names, set(wanted))
        elif self.split in ('test', 'val'):
            self._point_at_boxes()
        if self.mask_dir:
            for stem, path in list_files(self.mask_dir, '.png').items():
                key = names.find(stem, path)
                if key is None:
                    self._note_missing('masks', stem)
                else:
                    infos[key]['seg_map_path'] = path
        return self.leave_unreadable([infos[key] for key in wanted])

    def _find_images(self) -> list[tuple[str, str, int]]:
        """List prefix, path below it, and label of all images."""
        roots = (
            [self.img_prefix]
            if self.split or not self.layout
            else [osp.join(self.data_root, name) for name in self.layout]
        )
        folders = self._class_folders(roots)
        samples: list[tuple[str, str, int]] = []
        empty: list[str] = []
        for root in roots:
            prefix = osp.relpath(root, self.data_root)
            prefix = '' if prefix == '.' else f'{prefix}/'
            here = {k: v for k, v in folders.items() if osp.isdir(osp.join(root, k))}
            found, without = get_samples(root, here, self.is_valid_file)
            empty += sorted(set(without) | (folders.keys() - here.keys()))
            samples += [
                (prefix, name.replace('\\', '/'), label) for name, label in found
            ]
        if empty:
            self.findings[_EMPTY] += empty
        return samples

    def _class_folders(self, roots: list[str]) -> dict[str, int]:
        """Find the class folders and their labels."""
        here: set[str] = set().union(*map(self._list_classes, roots))
        names = here
        if self.split and 'train' in self.layout:
            names = self._list_classes(osp.join(self.data_root, 'train'))
            if here - names:
                raise ValueError(
                    f'The class folders {sorted(here - names)} of `{roots[0]}` '
                    'are not in `train`: the model would not know them.'
                )
        classes = self.CLASSES
        if classes is None:
            classes = self._metainfo['classes'] = tuple(sorted(names))
        if names <= set(classes):
            return {n: i for i, n in enumerate(classes) if n in names}
        if len(names) == len(classes):
            return {n: i for i, n in enumerate(sorted(names))}
        raise ValueError(
            f'`{self.img_prefix}` has {len(names)} class folders '
            f'({sorted(names)[:5]}...), but `classes` names {len(classes)}: '
            'correct the folders or `classes`.'
        )

    def _list_classes(self, root: str) -> set[str]:
        """List the folders of a folder, those of boxes and masks left out."""
        extras = [
            f'{path}/'
            for path in (self.box_file, self.mask_dir, *self.leave_out)
            if path
        ]
        names = {
            name
            for name in list_folders(root)
            if not any(
                extra.startswith(f'{osp.normpath(osp.join(root, name))}/')
                for extra in extras
            )
        }
        extra = annotation_folders(root, names, tuple(self.extensions))
        for name in sorted(extra):
            path = osp.relpath(osp.join(root, name), self.data_root)
            if path not in self._no_classes:
                self._no_classes.append(path)
                MMLogger.get_current_instance().info(
                    f'`{path}` in `{self.data_root}` holds {extra[name]} and '
                    'is no class.'
                )
        return names - extra.keys()

    def _held_out(self, labels: dict[str, int]) -> set[str]:
        """Choose the images of the test, from all images and their labels."""
        if self.split_seed is None:
            return {key for key in labels if hash_share(key) < self.test_ratio}
        return hold_out(labels, self.test_ratio, self.split_seed)

    def _note_missing(self, kind: str, name: str) -> None:
        """Note a name without an image, unless it is one of the other split."""
        if self.split and self.layout:
            if self._others is None:
                self._others = self._list_others()
            if osp.splitext(name)[0] in self._others:
                return
        self.findings[_NO_IMAGE.format(kind)].append(name)

    def _list_others(self) -> set[str]:
        """List all names of the images of the other splits."""
        roots = [osp.join(self.data_root, name) for name in self.layout]
        return {
            alias
            for root in roots
            if root != self.img_prefix
            for extension in self.extensions
            for stem in list_files(root, extension)
            for alias in (stem, osp.basename(stem), f'{osp.basename(root)}/{stem}')
        }

    def _add_boxes(self, infos: dict, names: ImageIndex, wanted: set[str]) -> None:
        """Put the boxes into the infos of the images."""
        check = BoxCheck(self.box_file, corners=osp.isdir(self.box_file))
        seen: set[str] = set()
        for name, boxes, size in self._read_boxes():
            stem, extension = osp.splitext(name)
            key = names.find(stem, self.box_file, extension)
            if key is None:
                self._note_missing('annotations', name)
                continue
            if key not in wanted:
                continue
            if key in seen:
                self.note_twice(key, self.box_file)
                continue
            seen.add(key)
            own = self.size_of(infos[key]['img_path'], turned=True)
            if own is not None and size not in (None, own):
                check.add(name, _other_size(name, size, own), len(boxes))
                continue
            good = check(name, boxes.tolist(), own)
            if good:
                infos[key]['gt_bboxes'] = np.array(good, dtype=np.float32)
        self.end_check(check)

    def _point_at_boxes(self) -> None:
        """Say that there are boxes, where nothing names them."""
        file = osp.join(self.data_root, 'boxes.json')
        if osp.isfile(file) and not holds_predictions(file):
            MMLogger.get_current_instance().warning(
                f'{file} is not read: to measure with it, give `--cfg-options '
                'box_file=boxes.json`.'
            )

    def _read_boxes(self) -> Iterable[BoxedImage]:
        """Read the boxes of all annotated images."""
        if osp.isdir(self.box_file):
            return (
                BoxedImage(f'{stem}.xml', *read_voc_boxes(path))
                for stem, path in list_files(self.box_file, '.xml').items()
            )
        found, orphans = read_coco_boxes(self.box_file)
        if holds_predictions(self.box_file):
            self.findings[_PREDICTED].append(self.box_file)
        if orphans:
            self.findings[_NO_IMAGE.format('annotations')] += [
                f'image_id {key}' for key in orphans
            ]
        return found


def _check_options(split: str, test_ratio: float) -> None:
    allowed = ('', 'train', 'test', 'val')
    if split not in allowed:
        raise ValueError(
            f'`split` of CustomLocalization must be one of {allowed}, but got '
            f'{split!r}.'
        )
    if not 0 < test_ratio < 1:
        raise ValueError(
            '`test_ratio` of CustomLocalization must be above '
            f'0 and below 1, but got {test_ratio!r}.'
        )


def _check_names(data_root: str, layout: list[str]) -> None:
    """Check that no folder of classes has a name that only looks like a split's."""
    for name in list_folders(data_root):
        lower = name.lower()
        meant = _OTHER_NAMES.get(lower, lower)
        if (
            name not in _SPLIT_FOLDERS
            and meant in _SPLIT_FOLDERS
            and meant not in layout
            and list_folders(osp.join(data_root, name))
        ):
            raise ValueError(
                f'`{data_root}` has the folder `{name}`, with folders in it: call it '
                f'`{meant}` if it is a split (train, test and val are read), or '
                'otherwise if it is a class.'
            )


def _find_extra(data_root: str, option: str, value: str) -> str:
    """Give the path of boxes or masks, ``''`` for none."""
    if not value:
        return ''
    path = osp.join(data_root, osp.expanduser(value))
    if not osp.exists(path):
        raise FileNotFoundError(
            f'`{path}` does not exist: correct `{option}` of the data set, or '
            "set it to '' to go without; a relative path begins in the data folder."
        )
    return osp.normpath(path)


def _split_folder(data_root: str, split: str, layout: list[str]) -> str:
    """Give the folder of a split, ``''`` for the data root itself."""
    if not (layout and split):
        return ''
    for name in _SPLIT_FOLDERS[split]:
        if name in layout:
            return name
    raise FileNotFoundError(
        f'`{data_root}` has {layout} but no folder '
        f'`{_SPLIT_FOLDERS[split][0]}`: add it, or put all class '
        f'folders into one folder and {DATA_ROOT_HINT}.'
    )


def _other_size(name: str, size: Any, own: tuple[int, int]) -> str:
    return (
        f'{name}: its boxes are for {size[0]}x{size[1]} pixels, but the image has '
        f'{own[0]}x{own[1]}'
    )
