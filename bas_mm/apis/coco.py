"""Results as COCO json."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bas_mm.utils.files import write_atomic


def encode_rle(mask: np.ndarray) -> dict[str, list[int]]:
    """Encode a mask as COCO's uncompressed run lengths.

    Args:
        mask (np.ndarray): ``(h, w)`` bool.

    Returns:
        dict: ``size`` [h, w] and ``counts``, the lengths of the runs down the
        columns, background first.
    """
    flat = np.asarray(mask, bool).ravel(order='F')
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0], change, [flat.size]])
    counts = np.diff(ends).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return dict(size=list(mask.shape), counts=counts)


class CocoFile:
    """A COCO json file that grows picture by picture.

    ``category_id`` is the class's index plus 1; boxes are ``[x, y, w, h]`` in
    pixels of the original picture as it is displayed. Each annotation has a
    ``score`` as in COCO's detection form, and the ``id``, ``area`` and
    ``iscrowd`` of its ground-truth form: the file loads as either.

    Args:
        path (str | PathLike): The json file.
        classes (Sequence[str]): Names of the classes.
        info (dict): Where the results come from.
        interval (float): Seconds after which :meth:`add` writes the file as
            far as it is, so that a run which is killed leaves results.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        classes: Sequence[str],
        info: dict[str, Any],
        interval: float = 60,
    ) -> None:
        self.path = Path(path)
        self.info = info
        self.categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.skipped: list[dict] = []
        self.interval = interval
        self._written = time.monotonic()

    def add(
        self,
        name: str,
        shape: tuple[int, int],
        found: Sequence[tuple[int, float, Sequence[float]]],
        masks: Sequence[np.ndarray] | None = None,
        **extra,
    ) -> None:
        """Add a picture.

        Args:
            name (str): Its ``file_name``.
            shape (tuple): Its ``(h, w)``.
            found (Sequence[tuple]): Class index, score and box (xyxy) of
                each object.
            masks (Sequence[np.ndarray], optional): ``(h, w)`` bool, the mask
                of each object.
            **extra: More fields for the picture.
        """
        height, width = map(int, shape)
        image = dict(
            id=len(self.images) + 1, file_name=name, width=width, height=height, **extra
        )
        self.images.append(image)
        for i, (label, score, box) in enumerate(found):
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
            if masks is not None:
                annotation.update(
                    area=int(masks[i].sum()), segmentation=encode_rle(masks[i])
                )
            self.annotations.append(annotation)
        if time.monotonic() - self._written > self.interval:
            self.save()

    def finish(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Write the file for good.

        Args:
            skipped (Sequence[tuple]): Name of each picture that was left
                out, and why.

        Raises:
            OSError: If it cannot be written.
        """
        self.skipped = [dict(file_name=name, reason=why) for name, why in skipped]
        self.save()

    def save(self) -> None:
        """Write the file; an older one stays if this fails.

        Raises:
            OSError: If it cannot be written.
        """
        content = dict(
            info=dict(self.info, skipped=self.skipped),
            images=self.images,
            annotations=self.annotations,
            categories=self.categories,
        )
        write_atomic(self.path, json.dumps(content).encode())
        self._written = time.monotonic()
