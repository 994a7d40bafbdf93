"""A data set read as a whole: what is in it, and what is wrong with it."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from bas_mm.datasets.checked import UNREADABLE
from bas_mm.datasets.custom import CustomLocalization
from bas_mm.datasets.files import require_folder
from bas_mm.datasets.folder import read_folder
from bas_mm.datasets.openimages import META_FOLDERS, SPLITS
from bas_mm.datasets.transforms.loading import load_gray
from bas_mm.utils.files import OTHER_IMAGES
from bas_mm.utils.images import read_image
from bas_mm.utils.threads import run_parallel

#: Layout to its data set and the splits that are looked at.
LAYOUTS: dict[str, tuple[str, Sequence[str]]] = dict(
    cub=('bas_mm.CUBLocalization', ('train', 'test')),
    ilsvrc=('bas_mm.ImageNetLocalization', ('train', 'val')),
    openimages=('bas_mm.OpenImagesLocalization', ('train', 'val', 'test')),
    custom=('bas_mm.CustomLocalization', ('train', 'test')),
)
MASKS = 'masks that cannot be used'
EMPTY = 'classes without images'
LOOSE = 'images that lie in no folder of a class'
OTHER_TYPES = 'images of a type that is not read'
ONE_CLASS = 'one class alone, and a classifier needs two'


@dataclass
class SplitReport:
    """What is in a split.

    Attributes:
        split: Its name.
        classes: Number of images of each class, by name.
        boxes: Number of images with boxes.
        masks: Number of images with masks.
        problems: Kind to what is wrong, one text for each case.
        cause: The likely cause of bad boxes, ``''`` for none.
    """

    split: str
    classes: dict[str, int]
    boxes: int = 0
    masks: int = 0
    problems: dict[str, list[str]] = field(default_factory=dict)
    cause: str = ''

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.classes.values())


def find_layout(data_root: str) -> str:
    """Tell the layout of a data folder: one of ``LAYOUTS``.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    root = require_folder(data_root)

    def has(*names: str) -> bool:
        return any(osp.exists(osp.join(root, name)) for name in names)

    if has('images.txt'):
        return 'cub'
    if has('meta/train.txt', 'meta/val.txt', 'bbox/val', 'Annotations/CLS-LOC'):
        return 'ilsvrc'
    if has(*(f'{p.format(s)}/class_labels.txt' for p in META_FOLDERS for s in SPLITS)):
        return 'openimages'
    return 'custom'


def check_data(
    data_root: str,
    layout: str | None = None,
    workers: int | None = None,
    progress: bool = False,
    **settings: Any,
) -> Iterator[SplitReport]:
    """Read every image, box and mask of a data folder once.

    Args:
        data_root: The folder.
        layout: One of ``LAYOUTS``; by default what :func:`find_layout` tells.
        workers: Number of threads that read.
        progress: Show a bar for each split.
        **settings: Of the data set, such as ``box_file``; a folder for each class
            is split, and its boxes and masks are found, as for training on it
            (:func:`bas_mm.datasets.folder.read_folder`).

    Yields:
        A report for each split.

    Raises:
        FileNotFoundError: If the folder, or a list in it, is missing.
        ValueError: If a list cannot be read.
    """
    kind, splits = LAYOUTS[layout or find_layout(data_root)]
    own = kind.endswith('CustomLocalization')
    if own:
        data_root, splits, settings = _own_folder(data_root, settings)
    elif not kind.endswith('CUBLocalization'):
        there = [s for s in splits if osp.isdir(osp.join(data_root, s))]
        splits = there or splits
    for split in splits:
        config = dict(type=kind, data_root=data_root, split=split, **settings)
        if split != 'train':
            config['test_mode'] = True
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset = DATASETS.build(
                dict(config, on_error='skip', lazy_init=True, pipeline=[])
            )
        dataset.scan = False  # here it is done with a bar
        dataset.full_init()
        report = _report(dataset, split, workers, progress)
        if own and split == splits[0]:
            for kind_of, found in _left_aside(data_root, dataset).items():
                report.problems[kind_of] = found
        yield report


def _own_folder(
    data_root: str, settings: dict[str, Any]
) -> tuple[str, Sequence[str], dict[str, Any]]:
    """Give root, splits and settings of a folder for each class."""
    root = require_folder(data_root)
    folder = read_folder(root)
    given = {  # below the folder that was named
        name: osp.join(osp.abspath(root), osp.expanduser(value))
        if name in ('box_file', 'mask_dir')
        else value
        for name, value in settings.items()
    }
    return folder.root, folder.splits, folder.common | folder.truth | given


def _left_aside(root: str, dataset: CustomLocalization) -> dict[str, list[str]]:
    """Name the images that no data set reads: by type, and by place."""
    roots = [osp.join(root, name) for name in dataset.layout] or [root]
    loose = [
        osp.join(folder, name)
        for folder in dict.fromkeys([root, *roots])
        for name in sorted(os.listdir(folder))
        if name.lower().endswith(tuple(dataset.extensions))
    ]
    others = [
        osp.join(inner, name)
        for folder in roots
        for inner, _, names in os.walk(folder)
        for name in sorted(names)
        if name.lower().endswith(OTHER_IMAGES)
    ]
    found = {LOOSE: loose, OTHER_TYPES: others}
    return {kind: paths for kind, paths in found.items() if paths}


def _report(
    dataset: Any, split: str, workers: int | None, progress: bool
) -> SplitReport:
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    names = list(dataset.metainfo['classes'])
    # two classes of ImageNet may have one name
    names = [n if names.count(n) == 1 else f'{n} ({i})' for i, n in enumerate(names)]
    counts = Counter(info['gt_label'] for info in infos)
    report = SplitReport(split, {name: counts[i] for i, name in enumerate(names)})
    report.boxes = sum(len(info.get('gt_bboxes', ())) > 0 for info in infos)
    report.masks = sum('seg_map_path' in info for info in infos)
    report.problems = {kind: list(found) for kind, found in dataset.findings.items()}
    report.cause = next((c.summary() for c in dataset.checks if c.faults), '')
    label = f'Reading {split}' if progress else ''
    for image, mask in run_parallel(_look, infos, workers, label):
        for kind, fault in ((UNREADABLE, image), (MASKS, mask)):
            if fault:
                report.problems.setdefault(kind, []).append(fault)
    without = [name for name, count in report.classes.items() if not count]
    if without and split == 'train':
        report.problems[EMPTY] = without
    if len(names) < 2 and split == 'train':
        report.problems[ONE_CLASS] = names
    return report


def _look(info: dict[str, Any]) -> tuple[str, str]:
    """Read the image and the mask of an info; say what is wrong with each."""
    try:
        shape = read_image(info['img_path'], 'color_ignore_orientation').shape[:2]
    except (OSError, ValueError) as error:
        return str(error), ''
    paths = info.get('seg_map_path', ())
    for path in [paths] if isinstance(paths, str) else paths:
        if fault := _look_at_mask(path, None if 'mask_any_size' in info else shape):
            return '', fault
    return '', ''


def _look_at_mask(path: str, shape: tuple[int, int] | None) -> str:
    """Read a mask, of a certain shape or any; say what is wrong with it."""
    try:
        mask = load_gray(path)
    except (OSError, ValueError) as error:
        return f'{path}: {error}'
    if shape is not None and mask.shape not in (shape, shape[::-1]):
        return (
            f'{path}: the mask has {mask.shape[1]}x{mask.shape[0]} pixels, its image '
            f'{shape[1]}x{shape[0]}'
        )
    return '' if mask.any() else f'{path}: the mask is empty'
