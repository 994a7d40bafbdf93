"""Boxes from an exported model, with NumPy, OpenCV and onnxruntime alone.

  python model_recipe.py model.onnx photo.jpg [photo.jpg ...]

`bas-mm export-model` puts this file beside the model. Nothing of bas_mm is needed.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

Description = Mapping[str, Any]


def load(path: str) -> tuple[Any, Description]:
    """Open a model.

    Args:
        path: An ONNX file.

    Returns:
        The session, and what the file says of itself.

    Raises:
        ValueError: If it was not written by ``bas-mm export-model``.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    text = session.get_modelmeta().custom_metadata_map.get('bas_mm')
    if text is None:
        raise ValueError(
            f'{path} does not say what its outputs are: write it by `bas-mm '
            'export-model`.'
        )
    return session, json.loads(text)


def localize(session: Any, about: Description, image: np.ndarray) -> dict[str, Any]:
    """Say what is in an image and where.

    Args:
        session: Of :func:`load`.
        about: Of :func:`load`.
        image: BGR, ``(h, w, 3)`` uint8, as OpenCV reads it.

    Returns:
        ``class``, ``score``, and ``bbox``, ``(4,)`` float32, ``xyxy`` in pixels
        of the image, max exclusive.
    """
    views = np.ascontiguousarray(image[None, ..., ::-1].transpose(0, 3, 1, 2))
    scores, maps = session.run(['scores', 'map'], {'images': views})
    label = int(scores[0].argmax())
    return {
        'class': about['classes'][label],
        'score': float(scores[0, label]),
        'bbox': find_box(maps[0], image.shape[:2], about),
    }


def find_box(
    pred_map: np.ndarray, image_size: tuple[int, int], about: Description
) -> np.ndarray:
    """Find the box of the largest component of a map.

    Args:
        pred_map: Shape ``(h, w)``, float32, any range.
        image_size: ``(h, w)`` of the image.
        about: Of :func:`load`: where the map is cut, at which size.

    Returns:
        Shape ``(4,)``, float32, ``xyxy`` in pixels of the image; the whole image
        where the map has no contrast.

    Example:
        >>> about = dict(size=[4, 4], threshold=0.5, percentile=None)
        >>> spot = np.zeros((4, 4), np.float32)
        >>> spot[1, 2] = 1
        >>> find_box(spot, (8, 16), about).tolist()
        [8.0, 2.0, 12.0, 4.0]
    """
    height, width = image_size
    rows, columns = about['size']
    box = np.array([0, 0, columns, rows], np.float32)
    low, high = pred_map.min(), pred_map.max()
    if np.isfinite(high - low) and high > low:
        view = (pred_map - low) / (high - low)
        if view.shape != (rows, columns):
            view = cv2.resize(view, (columns, rows), interpolation=cv2.INTER_LINEAR)
        inside = (view > find_cut(view, about)).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        if len(stats) > 1:
            x, y, w, h, _ = stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()]
            box = np.array([x, y, x + w, y + h], np.float32)
    return box * np.array([width / columns, height / rows] * 2, np.float32)


def find_cut(view: np.ndarray, about: Description) -> float:
    """Find the value above which a map, 0 to 1, is the object."""
    threshold = about['threshold']
    if isinstance(threshold, str):  # a rule, by Otsu's cut of this map
        levels = np.round(255 * view).astype(np.uint8)
        level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        return about['otsu_share'] * (level + 0.5) / 255
    if about['percentile'] is not None:
        return threshold * np.percentile(view, about['percentile'])
    return threshold


def main(paths: list[str]) -> None:
    """Localize in image files."""
    if len(paths) < 2:
        sys.exit(__doc__)
    if not paths[0].endswith('.onnx') or not os.path.isfile(paths[0]):
        sys.exit(
            f'{paths[0]} is no ONNX file, which is what this script opens; call '
            '`find_box` on the maps of other files.'
        )
    session, about = load(paths[0])
    for path in paths[1:]:
        image = cv2.imread(path)
        if image is None:
            sys.exit(f'{path} is no image that OpenCV reads.')
        found = localize(session, about, image)
        box = ', '.join(f'{value:.0f}' for value in found['bbox'])
        print(f'{path}: {found["class"]} ({found["score"]:.2f}) at [{box}]')


if __name__ == '__main__':
    main(sys.argv[1:])
