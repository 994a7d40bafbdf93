"""What was found in images, as the files that other programs read.

All writers have one interface: :meth:`Export.add` for each image, then
:meth:`Export.finish`. A file is never left half written, and a run that is
killed leaves what it had found.
"""

import csv
import io
import json
import math
import os
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from xml.etree import ElementTree

import mmengine
import numpy as np

from bas_mm.datasets.files import list_files
from bas_mm.utils.files import FreshPaths, check_output, write_atomic
from bas_mm.utils.texts import plural

PathLike = str | os.PathLike[str]
#: Class index, score and box (``xyxy``, max exclusive, pixels of the image as
#: it is displayed) of an object.
Found = tuple[int, float, Sequence[float]]


def encode_rle(mask: np.ndarray) -> dict[str, list[int]]:
    """Encode a mask as COCO's uncompressed run lengths.

    Args:
        mask: Shape ``(h, w)``, bool.

    Returns:
        ``size`` [h, w] and ``counts``, the lengths of the runs down the
        columns, background first.

    Example:
        >>> encode_rle(np.array([[1, 0], [1, 0]]))
        {'size': [2, 2], 'counts': [0, 2, 2]}
    """
    flat = np.asarray(mask, bool).ravel(order='F')
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0], change, [flat.size]])
    counts = np.diff(ends).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return dict(size=list(mask.shape), counts=counts)


class Entry(NamedTuple):
    """An image and what was found in it: the arguments of :meth:`Export.add`."""

    name: str
    shape: tuple[int, int]
    found: Sequence[Found]
    masks: Sequence[np.ndarray] | None
    source: PathLike | None
    extra: Mapping[str, Any]


class Export(ABC):
    """Writes what was found, image by image.

    Args:
        path: The file or folder to write.
        classes: Names of the classes.
        info: Where the results come from; written where the format has a
            place for it.
        interval: Seconds after which :meth:`add` writes the file as far as it
            is, so that a run which is killed leaves results.

    Attributes:
        is_folder (bool): Whether a folder is written, not a file.
        num_images (int): Images so far.
        num_objects (int): Objects in them.
        skipped (list[dict]): ``file_name`` and ``reason`` of the images that
            were left out, known at the end.
        complete (bool): Whether :meth:`finish` was called, and not because of
            an error.

    Raises:
        ValueError: If there is a folder where a file is to be written, or a
            file where a folder is.
        OSError: If nothing can be written there.
    """

    is_folder = False
    #: Of a folder: where in it labels lie, and their extension.
    labels: tuple[str, str] | None = None
    #: The name of a folder that is left out of the paths.
    without = ''

    def __init__(
        self,
        path: PathLike,
        classes: Sequence[str],
        info: Mapping[str, Any] | None = None,
        interval: float = 60,
    ) -> None:
        self.check_path(path)
        self.path = Path(path)
        self.classes = list(classes)
        self.info = dict(info or {})
        self.interval = interval
        self.num_images = 0
        self.num_objects = 0
        self.skipped: list[dict[str, str]] = []
        self.complete = False
        self._written = time.monotonic()

    @classmethod
    def check_path(cls, path: PathLike, option: str = '--out') -> None:
        """Check that it can be written to a path.

        Args:
            path: See the class.
            option: Where the path was given, for the error.

        Raises:
            ValueError, OSError: See the class.
        """
        path = Path(path)
        if path.is_file() if cls.is_folder else path.is_dir():
            kinds = ('folder', 'file') if cls.is_folder else ('file', 'folder')
            raise ValueError(
                f'{path} is a {kinds[1]}, but {cls.__name__} writes a {kinds[0]}: '
                f'name another with {option}, or choose another --format.'
            )
        check_output(path, option, cls.is_folder)

    def add(
        self,
        name: str,
        shape: Sequence[int],
        found: Sequence[Found],
        masks: Sequence[np.ndarray] | None = None,
        source: PathLike | None = None,
        **extra: Any,
    ) -> None:
        """Add an image.

        Args:
            name: Its name: the path below the data set's root, with ``/``.
            shape: Its ``(h, w)``.
            found: Its objects.
            masks: The mask of each object, ``(h, w)`` bool.
            source: Its file, for formats that lead to the images.
            **extra: More that is said of the image, for formats that have a
                place for it.

        Raises:
            OSError: If a file cannot be written.
        """
        height, width = map(int, shape)
        self.put(Entry(name, (height, width), found, masks, source, extra))
        self.num_images += 1
        self.num_objects += len(found)
        if time.monotonic() - self._written > self.interval:
            self.save()
            self._written = time.monotonic()

    def finish(
        self, skipped: Sequence[tuple[str, str]] = (), complete: bool = True
    ) -> None:
        """Write what is left to write.

        Args:
            skipped: Name of each image that was left out, and why.
            complete: Whether all images were added; False where an error ends
                it.

        Raises:
            OSError: If it cannot be written.
        """
        self.skipped = [dict(file_name=name, reason=why) for name, why in skipped]
        self.complete = complete
        self.save()

    def check_rest(self, names: Iterable[str], option: str = '--out') -> None:
        """Check that nothing of another run would stay among what is written.

        Args:
            names: Names of all images that are to be written.
            option: Where the path was given, for the error.

        Raises:
            ValueError: If a folder holds labels of other images.
        """
        if not self.labels:
            return
        inner, end = self.labels
        wanted = {os.path.splitext(_inside(name, self.without))[0] for name in names}
        rest = sorted(
            stem
            for stem in list_files(str(self.path / inner), end)
            # a second image of one name gets a number
            if stem not in wanted and re.sub(r'_\d+$', '', stem) not in wanted
        )
        if rest:
            raise ValueError(
                f'{self.path} holds labels of {plural(len(rest), "image")} that this '
                f'run does not write, {rest[0]!r} among them, and would mix both: '
                f'remove the folder or choose another place ({option}).'
            )

    @abstractmethod
    def put(self, entry: Entry) -> None:
        """Take an image."""

    @abstractmethod
    def save(self) -> None:
        """Write all that :meth:`put` has not; an older file stays if this fails.

        Raises:
            OSError: If it cannot be written.
        """


class CocoFile(Export):
    """A COCO data set: one json file of images, annotations and categories.

    It loads with ``pycocotools.coco.COCO(file)``, as ground truth does, and as
    the annotations of a detection data set. ``category_id`` is the class's
    index plus 1; boxes are ``[x, y, w, h]``; masks are uncompressed run
    lengths. Beside what ground truth has, each annotation has a ``score``.
    ``info`` says whether it is ``complete`` and names the images that were left
    out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.categories = [
            dict(id=i, name=name) for i, name in enumerate(self.classes, 1)
        ]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def put(self, entry: Entry) -> None:
        """Take an image."""
        height, width = entry.shape
        image = dict(
            id=len(self.images) + 1,
            file_name=entry.name,
            width=width,
            height=height,
            **entry.extra,
        )
        self.images.append(image)
        for i, (label, score, box) in enumerate(entry.found):
            x0, y0, x1, y1 = (round(float(value), 3) for value in box)
            size = [round(x1 - x0, 3), round(y1 - y0, 3)]
            annotation = dict(
                id=len(self.annotations) + 1,
                image_id=image['id'],
                category_id=label + 1,
                bbox=[x0, y0, *size],
                area=round(size[0] * size[1], 3),
                iscrowd=0,
                score=float(score),
            )
            if entry.masks is not None:
                mask = entry.masks[i]
                annotation.update(area=int(mask.sum()), segmentation=encode_rle(mask))
            self.annotations.append(annotation)

    def save(self) -> None:
        """Write the file."""
        content = dict(
            info=dict(self.info, complete=self.complete, skipped=self.skipped),
            images=self.images,
            annotations=self.annotations,
            categories=self.categories,
        )
        write_atomic(self.path, json.dumps(content).encode())


class CocoResults(CocoFile):
    """COCO detections: the list that ``COCO(ground_truth).loadRes(file)`` takes.

    Ids of images and categories are those of :class:`CocoFile`.
    """

    def save(self) -> None:
        """Write the file."""
        keys = ('image_id', 'category_id', 'bbox', 'score', 'segmentation')
        content = [{k: one[k] for k in keys if k in one} for one in self.annotations]
        write_atomic(self.path, json.dumps(content).encode())


class CsvFile(Export):
    """A table with a row for each box; images without objects have none."""

    header = 'image label class score width height x0 y0 x1 y1'.split()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = io.StringIO(newline='')
        self._writer = csv.writer(self._table)
        self._writer.writerow(self.header)

    def put(self, entry: Entry) -> None:
        """Take an image."""
        height, width = entry.shape
        for label, score, box in entry.found:
            corners = [round(float(value), 3) for value in box]
            what = [label, self.classes[label], float(score)]
            self._writer.writerow([entry.name, *what, width, height, *corners])

    def save(self) -> None:
        """Write the file."""
        write_atomic(self.path, self._table.getvalue().encode())


class VocFolder(Export):
    """A folder of Pascal-VOC XML files, one for each image, at the same paths.

    As VOC has it, pixels are counted from 1 and ``xmax`` and ``ymax`` are the
    last ones: a box is that of the pixels which it touches. A box of a single
    pixel begins one earlier, since readers that take the numbers as they are
    would see no area.
    """

    is_folder = True
    labels = ('', '.xml')

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paths = FreshPaths(self.path)

    def put(self, entry: Entry) -> None:
        """Write the file of an image."""
        height, width = entry.shape
        root = ElementTree.Element('annotation')
        path = PurePosixPath(entry.name)
        _add_texts(root, folder=path.parent.name, filename=path.name)
        size = ElementTree.SubElement(root, 'size')
        _add_texts(size, width=width, height=height, depth=3)
        _add_texts(root, segmented=0)
        for label, _, box in entry.found:
            x0, y0, x1, y1 = (round(float(value), 3) for value in box)
            xmax, ymax = math.ceil(x1), math.ceil(y1)
            xmin = min(math.floor(x0) + 1, xmax - 1)
            ymin = min(math.floor(y0) + 1, ymax - 1)
            one = ElementTree.SubElement(root, 'object')
            _add_texts(one, name=self.classes[label], pose='Unspecified')
            _add_texts(one, truncated=0, difficult=0)
            bndbox = ElementTree.SubElement(one, 'bndbox')
            _add_texts(bndbox, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
        ElementTree.indent(root)
        content = ElementTree.tostring(root, encoding='utf-8') + b'\n'
        write_atomic(self._paths(_inside(entry.name), '.xml'), content)

    def save(self) -> None:
        """Make the folder; its files are written already."""
        self.path.mkdir(parents=True, exist_ok=True)


class YoloFolder(Export):
    """A YOLO data set as ultralytics trains on: ``data=FOLDER/data.yaml``.

    ``labels/`` has a text file for each image, empty where there is no object,
    with lines of class index, center x and y, width and height, as shares of
    the image's sides. ``images/`` has links to the images at the same paths,
    where their files are known. ``classes.txt`` and ``data.yaml`` name the
    classes. A folder ``images`` in the name of an image is left out of the
    paths, since ultralytics finds labels by that word.
    """

    is_folder = True
    labels = ('labels', '.txt')
    without = 'images'

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paths = FreshPaths(self.path / 'labels')

    def put(self, entry: Entry) -> None:
        """Write the labels of an image, and the link to it."""
        sides = np.array(entry.shape[::-1], float)
        lines = []
        for label, _, box in entry.found:
            corners = np.asarray(box, float).reshape(2, 2) / sides
            numbers = [*corners.mean(0), *(corners[1] - corners[0])]
            lines.append(' '.join([str(label), *(f'{n:.6f}' for n in numbers)]))
        path = self._paths(_inside(entry.name, self.without), '.txt')
        write_atomic(path, ''.join(f'{line}\n' for line in lines).encode())
        if entry.source is not None and os.path.isfile(entry.source):
            link = self.path / 'images' / path.relative_to(self.path / 'labels')
            _link(link.with_suffix(Path(entry.source).suffix), Path(entry.source))

    def save(self) -> None:
        """Write the files that name the classes."""
        names = ''.join(f'{" ".join(name.split())}\n' for name in self.classes)
        write_atomic(self.path / 'classes.txt', names.encode())
        data = dict(
            path=str(self.path.resolve()),
            train='images',
            val='images',
            names=dict(enumerate(self.classes)),
        )
        content = mmengine.dump(data, file_format='yaml', sort_keys=False)
        write_atomic(self.path / 'data.yaml', content.encode())


#: The writers, by the names that ``--format`` gives them.
FORMATS: dict[str, type[Export]] = {
    'coco': CocoFile,
    'coco-results': CocoResults,
    'voc': VocFolder,
    'yolo': YoloFolder,
    'csv': CsvFile,
}


def _add_texts(parent: ElementTree.Element, **texts: Any) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def _inside(name: str, without: str = '') -> str:
    """Make a name one that stays inside a folder.

    Example:
        >>> _inside('../birds/images/a.jpg', without='images')
        'birds/a.jpg'
    """
    path = PurePosixPath(name.replace(os.sep, '/'))
    parts = [p for p in path.parts if p not in ('..', path.anchor)]
    return '/'.join([*(p for p in parts[:-1] if p != without), parts[-1]])


def _link(link: Path, target: Path) -> None:
    """Let a link lead to a file; where there are no links, copy it.

    An older link is replaced, a file in its place stays.
    """
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    if link.exists():
        return
    try:
        link.symlink_to(target.resolve())
    except (OSError, NotImplementedError):
        shutil.copyfile(target, link)
