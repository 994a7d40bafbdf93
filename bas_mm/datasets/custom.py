"""Pictures of your own: a folder per class, boxes and masks optional."""

import hashlib
import json
import os.path as osp
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.custom import get_samples

from bas_mm.datasets.annotations import loaded_size, read_voc_boxes
from bas_mm.datasets.files import (
    DATA_ROOT_HINT,
    list_files,
    list_folders,
    require_folder,
)
from bas_mm.registry import DATASETS

_SPLIT_FOLDERS = dict(train=('train',), test=('test', 'val'), val=('val', 'test'))


@DATASETS.register_module()
class CustomLocalization(CustomDataset):
    """A folder per class, with optional boxes and masks.

    Two layouts::

        custom                          custom
        ├── train/<class>/*.jpg         ├── <class>/*.jpg
        └── test/<class>/*.jpg          └── ...
            (or val/)

    In the second, ``split='train'`` and ``split='test'`` divide the one
    folder: a picture is held out for the test when the MD5 hash of its path
    (relative to ``data_root``, with ``/``) falls into the lowest
    ``test_ratio`` of all hashes. This never changes for a picture, whatever
    is added or removed beside it. ``split=''`` reads everything.

    The classes are the folders' names, sorted (of ``train/`` in the first
    layout). A class folder without pictures is kept and warned of.

    Beside ``img_path`` and ``gt_label`` an item's info holds, where the
    picture has them, ``gt_bboxes`` (``(n, 4)`` float32, xyxy, pixels of the
    picture as loaded, i.e. turned by its EXIF tag) and ``seg_map_path``.

    Args:
        data_root (str): The root folder.
        split (str): "train", "test", "val" (another name for "test"), or ''
            for all. Defaults to ''.
        box_file (str): Boxes: a COCO json file, or a folder of Pascal-VOC
            XML files, relative to ``data_root`` or absolute. A file is
            matched by the picture's path (relative to the class folders'
            parent or to ``data_root``) or, if that is unique, by its bare
            name. Numbers of VOC files are used as they are. '' means none.
            Defaults to ''.
        mask_dir (str): A folder of PNG masks with the same relative paths as
            the pictures. '' means none. Defaults to ''.
        on_error (str): What to do about a box with swapped corners, without
            area or outside its picture, or for a picture of another size:
            "raise", or "skip" it, with a warning that counts and names.
            Defaults to "raise".
        test_ratio (float): Share of the pictures held out for the test when
            there is one folder only. Defaults to 0.2.
        metainfo (dict, optional): Meta information; its ``classes`` are
            matched to the folders by name, or by order if the names differ.
        **kwargs: Other arguments of
            :class:`mmpretrain.datasets.CustomDataset`.

    Raises:
        FileNotFoundError: If a folder or file is missing, or no picture is.
        ValueError: If an option is not allowed, classes and folders do not
            match, or a box is wrong and ``on_error='raise'``.
    """

    def __init__(
        self,
        data_root: str,
        split: str = '',
        box_file: str = '',
        mask_dir: str = '',
        on_error: str = 'raise',
        test_ratio: float = 0.2,
        metainfo: dict | None = None,
        **kwargs,
    ):
        for name, value, allowed in (
            ('split', split, ('', 'train', 'test', 'val')),
            ('on_error', on_error, ('raise', 'skip')),
        ):
            if value not in allowed:
                raise ValueError(
                    f'`{name}` of CustomLocalization must be one '
                    f'of {allowed}, but got {value!r}.'
                )
        if not 0 < test_ratio < 1:
            raise ValueError(
                '`test_ratio` of CustomLocalization must be above '
                f'0 and below 1, but got {test_ratio!r}.'
            )
        for name in ('ann_file', 'data_prefix'):
            if kwargs.pop(name, None):
                raise ValueError(
                    f'CustomLocalization takes no `{name}`: it reads a folder '
                    "per class; use mmpretrain's CustomDataset for lists."
                )
        data_root = require_folder(data_root)
        self.split = split
        self.on_error = on_error
        self.test_ratio = test_ratio
        self.box_file = self._extra(data_root, 'box_file', box_file)
        self.mask_dir = self._extra(data_root, 'mask_dir', mask_dir)
        self._troubles: dict[str, list[str]] = defaultdict(list)
        self._others: set | None = None

        # Two layouts: train/<class>/ beside test/<class>/, or <class>/ only.
        # A *class* called "train" has pictures in it, not folders.
        self.hold_out = True
        prefix = ''
        layout = [
            name
            for name in ('train', 'test', 'val')
            if osp.isdir(osp.join(data_root, name))
            and list_folders(osp.join(data_root, name))
        ]
        if layout and split:
            found = [n for n in _SPLIT_FOLDERS[split] if n in layout]
            if not found:
                raise FileNotFoundError(
                    f'`{data_root}` has {layout} but no folder '
                    f'`{_SPLIT_FOLDERS[split][0]}`: add it, or put all class '
                    f'folders into one folder and {DATA_ROOT_HINT}.'
                )
            prefix, self.hold_out = found[0], False
        self.layout = layout
        super().__init__(
            data_root=data_root, data_prefix=prefix, metainfo=metainfo, **kwargs
        )

    @staticmethod
    def _extra(data_root: str, name: str, value: str) -> str:
        if not value:
            return ''
        path = osp.join(data_root, osp.expanduser(value))
        if not osp.exists(path):
            raise FileNotFoundError(
                f'`{path}` does not exist: mend `{name}` of the data set, or '
                "set it to '' to go without."
            )
        return osp.normpath(path)

    def full_init(self) -> None:
        """Load the data; then report all troubles, a line for each kind."""
        super().full_init()
        logger = MMLogger.get_current_instance()
        for kind, names in self._troubles.items():
            more = ', ...' if len(names) > 5 else ''
            logger.warning(f'{len(names)} {kind}: {", ".join(names[:5])}{more}')
        self._troubles.clear()

    def load_data_list(self) -> list[dict]:
        """List the pictures and match boxes and masks to them.

        Returns:
            list[dict]: One info for each picture of the split.
        """
        roots = (
            [self.img_prefix]
            if self.split or not self.layout
            else [osp.join(self.data_root, name) for name in self.layout]
        )
        folders = self._class_folders(roots)
        samples = []
        for root in roots:
            prefix = osp.relpath(root, self.data_root)
            prefix = '' if prefix == '.' else f'{prefix}/'
            here = {k: v for k, v in folders.items() if osp.isdir(osp.join(root, k))}
            found, empty = get_samples(root, here, self.is_valid_file)
            self._troubles['class folders without pictures'] += sorted(
                set(empty) | (folders.keys() - here.keys())
            )
            samples += [
                (prefix, name.replace('\\', '/'), label) for name, label in found
            ]
        if not self._troubles['class folders without pictures']:
            del self._troubles['class folders without pictures']

        infos = {
            prefix + name: dict(
                img_path=osp.join(self.data_root, prefix + name), gt_label=label
            )
            for prefix, name, label in samples
        }
        wanted = [key for key in infos if self._is_wanted(key)]
        if not wanted:
            raise FileNotFoundError(
                f'No pictures for split={self.split!r} in `{self.img_prefix}` '
                f'({len(infos)} in the folder; extensions '
                f'{sorted(self.extensions)}): {DATA_ROOT_HINT}, a folder per '
                'class' + ('; or raise or lower `test_ratio`.' if infos else '.')
            )
        names = _Names((prefix, name) for prefix, name, _ in samples)
        if self.box_file:
            self._add_boxes(infos, names, set(wanted))
        if self.mask_dir:
            for stem, path in list_files(self.mask_dir, '.png').items():
                key = names.find(stem, path)
                if key is None:
                    self._note_missing('masks', stem)
                else:
                    infos[key]['seg_map_path'] = path
        return [infos[key] for key in wanted]

    def _class_folders(self, roots: list[str]) -> dict[str, int]:
        """Class folders' names and their labels."""
        extras = {self.box_file, self.mask_dir}

        def listed(root: str) -> set:
            return {
                name
                for name in list_folders(root)
                if not any(
                    extra
                    and f'{extra}/'.startswith(f'{osp.normpath(osp.join(root, name))}/')
                    for extra in extras
                )
            }

        here = set().union(*map(listed, roots))
        names = here
        if self.split and 'train' in self.layout:
            names = listed(osp.join(self.data_root, 'train'))
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
            'mend the folders or `classes`.'
        )

    def _is_wanted(self, key: str) -> bool:
        if not (self.hold_out and self.split):
            return True
        digest = int.from_bytes(hashlib.md5(key.encode()).digest(), 'big')
        return (digest / 2**128 < self.test_ratio) != (self.split == 'train')

    def _note_missing(self, kind: str, name: str) -> None:
        """A name with no picture, unless it is one of the other split."""
        stem = osp.splitext(name)[0]
        if self.split and self.layout:
            if self._others is None:
                roots = [osp.join(self.data_root, name) for name in self.layout]
                self._others = {
                    alias
                    for root in roots
                    if root != self.img_prefix
                    for extension in self.extensions
                    for stem_ in list_files(root, extension)
                    for alias in (
                        stem_,
                        osp.basename(stem_),
                        f'{osp.basename(root)}/{stem_}',
                    )
                }
            if stem in self._others:
                return
        self._troubles[f'{kind} name pictures that do not exist'].append(name)

    def _bad(self, message: str, name: str) -> None:
        if self.on_error == 'raise':
            raise ValueError(
                f"{message}. Mend `{self.box_file}`, or set on_error='skip' "
                'to leave such boxes out.'
            )
        self._troubles['boxes were left out'].append(f'{name} ({message})')

    def _add_boxes(self, infos: dict, names: '_Names', wanted: set) -> None:
        kept = defaultdict(list)
        sizes: dict[str, tuple[int, int]] = {}
        for name, boxes, size in self._read_boxes():
            key = names.find(osp.splitext(name)[0], self.box_file)
            if key is None:
                self._note_missing('annotations', name)
                continue
            if key not in wanted:
                continue
            if key not in sizes:
                sizes[key] = loaded_size(infos[key]['img_path'])
            width, height = sizes[key]
            if size is not None and tuple(size) != sizes[key]:
                self._bad(
                    f'{name}: its boxes are for {size[0]}x{size[1]} pixels, '
                    f'but the picture has {width}x{height}',
                    name,
                )
                continue
            for x1, y1, x2, y2 in boxes.tolist():
                box = f'{name}: the box ({x1:g}, {y1:g}, {x2:g}, {y2:g})'
                if x2 < x1 or y2 < y1:
                    self._bad(f'{box} has swapped corners', name)
                elif not (x2 > x1 and y2 > y1):
                    self._bad(f'{box} has no area', name)
                elif min(x1, y1) < -1 or x2 > width + 1 or y2 > height + 1:
                    self._bad(
                        f'{box} reaches outside its picture of {width}x{height} pixels',
                        name,
                    )
                else:
                    kept[key].append([x1, y1, x2, y2])
        for key, boxes in kept.items():
            infos[key]['gt_bboxes'] = np.array(boxes, dtype=np.float32)

    def _read_boxes(self) -> Iterator[tuple[str, np.ndarray, tuple | None]]:
        """Name, boxes and annotated size of each annotated picture."""
        if osp.isdir(self.box_file):
            for stem, path in list_files(self.box_file, '.xml').items():
                boxes, size = read_voc_boxes(path)
                yield f'{stem}.xml', boxes, size
            return
        try:
            with open(self.box_file, encoding='utf-8') as file:
                coco = json.load(file)
            boxes = defaultdict(list)
            for ann in coco['annotations']:
                if not ann.get('iscrowd', 0):
                    x, y, w, h = map(float, ann['bbox'])
                    boxes[ann['image_id']].append([x, y, x + w, y + h])
            images = {
                image['id']: (
                    image['file_name'],
                    image.get('width'),
                    image.get('height'),
                )
                for image in coco['images']
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{self.box_file}: expected a COCO json file with `images` '
                '(id, file_name) and `annotations` (image_id, bbox = [x, y, '
                f'w, h]): {type(error).__name__} {error}.'
            ) from None
        for key in boxes.keys() - images.keys():
            self._troubles['annotations name pictures that do not exist'].append(
                f'image_id {key}'
            )
        for key, (name, width, height) in images.items():
            if key in boxes:
                size = (width, height) if width and height else None
                yield name.replace('\\', '/'), np.array(boxes[key]), size


class _Names:
    """Finds a picture by its path without extension, or its bare name."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        self._keys: dict[str, set] = defaultdict(set)
        for prefix, name in names:
            stem = osp.splitext(name)[0]
            for alias in {stem, prefix + stem, osp.basename(stem)}:
                self._keys[alias].add(prefix + name)

    def find(self, stem: str, source: str) -> str | None:
        keys = self._keys.get(stem.removeprefix('./'), ())
        if len(keys) > 1:
            raise ValueError(
                f'{source}: `{stem}` may mean {sorted(keys)[:3]}: give the '
                'path, relative to the root folder, not the bare name.'
            )
        return next(iter(keys), None)
