"""Readers of tables, boxes and image sizes.

Boxes are ``xyxy``, in pixels of the image on disk, as the files have them.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np


def read_table(
    path: str, types: Sequence[Callable[[str], Any]], expected: str
) -> dict[int, tuple]:
    """Read a file of lines ``id value...``.

    Spaces part the values; if there is one value and it is text, they belong
    to it. Empty lines are skipped.

    Args:
        path: The file, UTF-8.
        types: Converts each value, such as ``(float, float)``.
        expected: What a line looks like, for the error.

    Returns:
        From the id to its values.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not like this, or an id occurs twice.
    """
    table: dict[int, tuple] = {}
    text = tuple(types) == (str,)
    try:
        with open(path, encoding='utf-8') as file:
            lines = list(file)
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8: {error}.') from None
    for number, line in enumerate(lines, 1):
        fields = line.split(None, 1) if text else line.split()
        if not fields:
            continue
        try:
            if len(fields) != len(types) + 1:
                raise ValueError
            key = int(fields[0])
            row = tuple(t(f.strip()) for t, f in zip(types, fields[1:]))
        except ValueError:
            raise ValueError(
                f'{path}, line {number}: expected `{expected}`, got `{line.strip()}`.'
            ) from None
        if key in table:
            raise ValueError(f'{path}, line {number}: the id {key} occurs twice.')
        table[key] = row
    return table


def read_voc_boxes(path: str) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Read the boxes of a Pascal-VOC XML file.

    The numbers are used as they are, like everywhere in this field: VOC
    counts pixels from 1 and includes the last one, which is not corrected
    (a shift of one pixel at most, and the figures stay comparable).

    Args:
        path: The XML file.

    Returns:
        The boxes of all objects, ``(n, 4)`` float32, ``xyxy`` in pixels of
        the image on disk; and its ``(width, height)`` as the file has it, or
        None.

    Raises:
        ValueError: If the file is no XML or a box lacks a number.
    """
    try:
        root = ElementTree.parse(path).getroot()
        boxes = [
            [
                float(box.findtext(key, 'missing'))
                for key in ('xmin', 'ymin', 'xmax', 'ymax')
            ]
            for box in root.iterfind('object/bndbox')
        ]
        width, height = (root.findtext(f'size/{k}') for k in ('width', 'height'))
        size = (int(width), int(height)) if width and height else None
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(
            f'{path}: expected a Pascal-VOC annotation with numbers in '
            f'object/bndbox/xmin, ymin, xmax, ymax: {error}.'
        ) from None
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), size


class BoxedImage(NamedTuple):
    """The boxes of an image of an annotation file.

    Attributes:
        name: Its name or path in the file, with ``/``.
        boxes: Shape ``(n, 4)``, float, ``xyxy`` in pixels of the image.
        size: ``(width, height)`` as the file has it, or None.
    """

    name: str
    boxes: np.ndarray
    size: tuple[int, int] | None


def holds_predictions(path: str) -> bool:
    """Whether the boxes of a COCO json file were predicted: they have scores.

    Args:
        path: The file; one that cannot be read holds none.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return any('score' in one for one in json.load(file)['annotations'])
    except (ValueError, KeyError, TypeError):
        return False


def read_coco_boxes(path: str) -> tuple[list[BoxedImage], list[Any]]:
    """Read the boxes of a COCO json file, those of crowds left out.

    Args:
        path: The file, with ``images`` and ``annotations``.

    Returns:
        The images that have boxes, in the order of the file; and the
        ``image_id`` of annotations whose image is not in it.

    Raises:
        ValueError: If the file is not like this.
    """
    boxes = defaultdict(list)
    try:
        with open(path, encoding='utf-8') as file:
            coco = json.load(file)
        for annotation in coco['annotations']:
            if not annotation.get('iscrowd', 0):
                x, y, w, h = map(float, annotation['bbox'])
                boxes[annotation['image_id']].append([x, y, x + w, y + h])
        images = {
            image['id']: (
                image['file_name'].replace('\\', '/'),
                image.get('width'),
                image.get('height'),
            )
            for image in coco['images']
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: expected a COCO json file with `images` '
            '(id, file_name) and `annotations` (image_id, bbox = [x, y, '
            f'w, h]): {type(error).__name__} {error}.'
        ) from None
    found = [
        BoxedImage(name, np.array(boxes[key]), (w, h) if w and h else None)
        for key, (name, w, h) in images.items()
        if key in boxes
    ]
    return found, [key for key in boxes if key not in images]
