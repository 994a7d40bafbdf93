"""Readers of tables, boxes and image sizes."""

from xml.etree import ElementTree

import numpy as np
from PIL import Image


def read_table(path: str, types: tuple, expected: str) -> dict[int, tuple]:
    """Read lines of ``id value...``; spaces belong to a lone text value."""
    table: dict[int, tuple] = {}
    text = types == (str,)
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
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
                    f'{path}, line {number}: expected `{expected}`, '
                    f'got `{line.strip()}`.'
                ) from None
            if key in table:
                raise ValueError(
                    f'{path}, line {number}: the id {key} stands there twice.'
                )
            table[key] = row
    return table


def read_voc_boxes(path: str) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Read the boxes of a Pascal-VOC XML file.

    The numbers are used as they are, like everywhere in this field: VOC
    counts pixels from 1 and includes the last one, which is not corrected
    (a shift of one pixel at most, and the figures stay comparable).

    Args:
        path (str): The XML file.

    Returns:
        tuple: The boxes of all objects, ``(n, 4)`` float32, xyxy in pixels of
        the picture on disk; and its ``(width, height)`` as the file has it,
        or None.

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


def loaded_size(path: str) -> tuple[int, int]:
    """Width and height as loaded (turned by EXIF); reads the header only."""
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return image.size[::-1] if turned else image.size
