"""ILSVRC 2012 with the official boxes for localization."""

import os.path as osp
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import ImageNet
from mmpretrain.datasets.custom import get_samples

import bas_mm
from bas_mm.datasets.annotations import read_voc_boxes
from bas_mm.datasets.box_check import BoxCheck
from bas_mm.datasets.checked import CheckedData
from bas_mm.datasets.cub import SLACK
from bas_mm.datasets.files import (
    DATA_ROOT_HINT,
    list_files,
    list_folders,
    require_folder,
)
from bas_mm.datasets.index_file import IndexFile, walk_folders
from bas_mm.datasets.packed import PackedInfos
from bas_mm.registry import DATASETS
from bas_mm.utils.files import IMG_EXTENSIONS


@DATASETS.register_module()
class ImageNetLocalization(CheckedData, ImageNet):
    """ILSVRC 2012 (CLS-LOC) with ground-truth boxes.

    The folder has this layout ::

        ILSVRC2012
        ├── train/<wnid>/*.JPEG
        ├── val/*.JPEG                flat (or val/<wnid>/*.JPEG)
        ├── meta/train.txt            path index   (optional)
        ├── meta/val.txt              path index   (needed for a flat val)
        ├── bbox/val/*.xml            or Annotations/CLS-LOC/val/*.xml
        └── classes.txt               wnid words   (optional)

    The classes follow the data: ``classes.txt`` where it exists; otherwise
    the folders of ``train/`` if they are fewer than 1000; otherwise
    mmpretrain's list.

    Beside ``img_path`` and ``gt_label`` an item's info holds ``gt_bboxes``:
    ``(n, 4)`` float32, ``xyxy`` in pixels of the image on disk, all objects
    of its XML file, numbers as they are (see
    :func:`~bas_mm.datasets.annotations.read_voc_boxes`). It is absent where
    there is no file. Training needs labels only, so XML files are read for
    ``split='val'`` or ``test_mode=True`` only, or when ``ann_xml`` is given.

    Args:
        data_root: The root folder.
        split: ``'train'`` or ``'val'``.
        ann_xml: The folder of the XML files, relative to ``data_root`` or
            absolute; ``''`` reads none; None looks in ``bbox/<split>``,
            ``Annotations/CLS-LOC/<split>`` and ``Annotations/<split>``.
        test_mode: As in :class:`mmengine.dataset.BaseDataset`.
        metainfo: Meta information; its ``classes`` win.
        on_error: What to do about an image that cannot be read or is listed
            twice, and a box with swapped corners, without area or outside its
            image: ``'raise'``, or ``'skip'`` it, with a warning that counts and
            names. For the second, all images are read once when the data set
            is loaded.
        cache_index: Whether what was found in many folders or XML files is kept in
            a file, and read from there until they change, see
            :class:`~bas_mm.datasets.index_file.IndexFile`. Not where images are
            left out, an XML file does not say the size of its image, or there was
            something to say of these files.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.ImageNet`.

    Raises:
        FileNotFoundError: If a folder or a needed list is missing.
        ValueError: If ``split`` is neither of the two, a line or an XML file
            cannot be read, folders and classes do not match, or
            ``on_error='raise'`` and a box is wrong or an image listed twice.
    """

    XML_FOLDERS = ('bbox/{}', 'Annotations/CLS-LOC/{}', 'Annotations/{}')

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        ann_xml: str | None = None,
        test_mode: bool = False,
        metainfo: dict | None = None,
        on_error: str = 'raise',
        cache_index: bool = True,
        **kwargs: Any,
    ) -> None:
        self.init_checks(on_error)
        self.cache_index = cache_index
        if split not in ('train', 'val'):
            raise ValueError(
                "`split` of ImageNetLocalization must be 'train' or 'val' (the "
                f'test split has no public labels), but got {split!r}.'
            )
        prefix = kwargs.get('data_prefix') or split
        data_root = require_folder(
            data_root, *([prefix] if isinstance(prefix, str) else [])
        )
        self.split = split
        self.ann_xml = ann_xml
        metainfo = dict(metainfo or {})
        wnids, words = self._find_classes(data_root)
        if words and 'classes' not in metainfo and kwargs.get('classes') is None:
            metainfo['classes'] = words
        self.wnids = wnids
        kwargs.setdefault('extensions', IMG_EXTENSIONS)
        super().__init__(
            data_root=data_root,
            split=split,
            test_mode=test_mode,
            metainfo=metainfo,
            **kwargs,
        )

    @staticmethod
    def _find_classes(data_root: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Find the wnids and names of the data, empty where they are standard."""
        path = osp.join(data_root, 'classes.txt')
        if osp.exists(path):
            with open(path, encoding='utf-8') as file:
                rows = [line.split(None, 1) for line in file if line.strip()]
            wnids = tuple(row[0] for row in rows)
            if len(set(wnids)) != len(wnids):
                raise ValueError(f'{path}: a class occurs twice.')
            return wnids, tuple(row[-1].strip() for row in rows)
        train = osp.join(data_root, 'train')
        folders = sorted(list_folders(train)) if osp.isdir(train) else []
        if 0 < len(folders) < 1000:
            return tuple(folders), tuple(folders)
        return (), ()

    def load_data_list(self) -> PackedInfos:
        """List the images, their labels and boxes.

        Returns:
            One info for each image of the split.
        """
        folder = self._xml_folder()
        if self.on_error == 'skip' or not self.cache_index:
            return self._list(folder)
        made_by = dict(
            version=bas_mm.__version__,
            type=f'{type(self).__module__}.{type(self).__qualname__}',
            root=osp.abspath(self.data_root),
            images=self.img_prefix,
            list=self.ann_file,
            boxes=folder,
            classes=self.CLASSES,
            folders=self.wnids,
            extensions=sorted(self.extensions),
        )
        return IndexFile(made_by).infos(
            lambda: self._list(folder), lambda: self._sources(folder)
        )

    def _list(self, folder: str | None) -> PackedInfos:
        """List the images, with the boxes of a folder of XML files."""
        samples = self._read_list() if self.ann_file else self._scan()
        start = next(samples, None)
        if start is None:
            raise FileNotFoundError(
                f'No images in `{self.ann_file or self.img_prefix}`: {DATA_ROOT_HINT}.'
            )
        first = osp.join(self.img_prefix, start[0])
        if not osp.exists(first):
            raise FileNotFoundError(
                f'The first image of `{self.ann_file}`, `{first}`, does not '
                f'exist: {DATA_ROOT_HINT}.'
            )
        infos: Iterable[dict] = (
            dict(img_path=osp.join(self.img_prefix, name), gt_label=label)
            for name, label in chain([start], samples)
        )
        if self.on_error == 'skip':
            infos = self.leave_unreadable(list(infos))
        if folder:
            infos = self._with_boxes(infos, folder)
        return PackedInfos.pack(infos)

    def _sources(self, folder: str | None) -> Iterator[str]:
        """Give the files and folders that the infos are made of.

        Nothing where there was something to say, which is to be said each time, or
        an image was asked for its size.
        """
        if folder and not self._from_xml_alone:
            return
        if self.ann_file:
            yield from (self.ann_file, self.img_prefix)
        else:
            yield from walk_folders(self.img_prefix)
        if folder:
            yield from walk_folders(folder)
            yield from list_files(folder, '.xml').values()

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Take the infos as they are, if they are packed."""
        if not isinstance(self.data_list, PackedInfos):  # a part of them
            return super()._serialize_data()
        return self.data_list.data, self.data_list.ends

    def _read_list(self) -> Iterator[tuple[str, int]]:
        """Read the images and labels of the list of the split."""
        codes = np.sort(np.fromiter((hash(n) for n, _ in self._lines()), np.int64))
        # Few bytes a name; those of equal hashes are looked at as they are.
        unsure = set(codes[1:][codes[1:] == codes[:-1]].tolist())
        seen = set()
        for name, label in self._lines():
            if hash(name) in unsure:
                if name in seen:
                    self.note_twice(name, self.ann_file)
                    continue
                seen.add(name)
            yield name, label

    def _lines(self) -> Iterator[tuple[str, int]]:
        """Read the lines of the list of the split."""
        with open(self.ann_file, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                name, _, label = line.strip().rpartition(' ')
                if not (name and label.isdecimal() and int(label) < len(self.CLASSES)):
                    raise ValueError(
                        f'{self.ann_file}, line {number}: expected `path '
                        f'index` with an index from 0 to '
                        f'{len(self.CLASSES) - 1}, got `{line.strip()}`.'
                    )
                yield name.strip(), int(label)

    def _scan(self) -> Iterator[tuple[str, int]]:
        """List the images of the class folders and their labels."""
        folders = list_folders(self.img_prefix)
        if not folders:
            raise FileNotFoundError(
                f'`{self.img_prefix}` has no folder for each class, and there '
                f'is no `meta/{self.split}.txt` (lines `path index`) in '
                f'`{self.data_root}`: write one, or {DATA_ROOT_HINT}.'
            )
        wnids = self.wnids or sorted(folders)
        differ = sorted(set(folders) ^ set(wnids))
        if differ or len(wnids) != len(self.CLASSES):
            raise ValueError(
                f'`{self.img_prefix}` has {len(folders)} class folders, but '
                f'{len(self.CLASSES)} classes are expected'
                f'{f" (only in one of them: {differ[:3]})" if differ else ""}: '
                f'correct the folders or `classes.txt` in `{self.data_root}`.'
            )
        for wnid, label in sorted((w, i) for i, w in enumerate(wnids)):
            yield from get_samples(
                self.img_prefix, {wnid: label}, is_valid_file=self.is_valid_file
            )[0]

    def _xml_folder(self) -> str | None:
        """Find the folder of the XML files, None to read none."""
        if self.ann_xml is not None:
            folder = osp.join(self.data_root, osp.expanduser(self.ann_xml))
            if self.ann_xml and not osp.isdir(folder):
                raise FileNotFoundError(
                    f'The folder of XML boxes `{folder}` does not exist: set '
                    '`ann_xml` of the data set to the right one, or to '
                    "'' to go without boxes."
                )
            return folder if self.ann_xml else None
        if self.split != 'val' and not self.test_mode:
            return None
        places = [
            osp.join(self.data_root, p.format(self.split)) for p in self.XML_FOLDERS
        ]
        for folder in places:
            if osp.isdir(folder):
                return folder
        MMLogger.get_current_instance().warning(
            f'No boxes: none of {places} exists. Set `ann_xml` of the data '
            'set to the folder of the XML files.'
        )
        return None

    def _with_boxes(self, infos: Iterable[dict], folder: str) -> Iterator[dict]:
        """Give the infos with the boxes of the images."""
        files = {osp.basename(k): v for k, v in list_files(folder, '.xml').items()}
        check = BoxCheck(folder, corners=True, slack=SLACK, inclusive=True)
        number = missing = asked = 0
        for info in infos:
            number += 1
            name = osp.basename(info['img_path'])
            path = files.pop(osp.splitext(name)[0], None)
            if path is None:
                missing += 1
            else:
                boxes, size = read_voc_boxes(path)
                if size is None:
                    asked += 1
                    size = self.size_of(info['img_path'], turned=False)
                good = check(osp.basename(path), boxes.tolist(), size)
                info['gt_bboxes'] = np.array(good, np.float32).reshape(-1, 4)
            yield info
        self.end_check(check)
        self._from_xml_alone = not (missing or files or asked)
        if missing or files:
            MMLogger.get_current_instance().warning(
                f'{missing} of {number} images have no XML file in '
                f'`{folder}`; {len(files)} XML files there have no image.'
            )
