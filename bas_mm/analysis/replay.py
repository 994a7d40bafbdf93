"""Annotations through a pipeline that carries none: where training sees the object.

The random crop of a training pipeline does not move boxes and masks. Here
every transform runs once on the image and, from the same state of the random
generators, once on a drawing of each annotation: whatever the pipeline does to
the pixels is done to the annotation, and the box is what is left of it in the
view.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmpretrain.structures import DataSample

from bas_mm.datasets import LoadLocAnnotations

YELLOW, GRAY = (0, 255, 255), (128, 128, 128)  # BGR


def get_state() -> tuple[Any, ...]:
    """Give the state of all random generators that transforms use."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_state(state: tuple[Any, ...]) -> None:
    """Restore what :func:`get_state` gave."""
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])


def draw_annotations(
    results: Mapping[str, Any], loader: LoadLocAnnotations
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw the annotations of a loaded image, white on black.

    Args:
        results: Results of the image's loader.
        loader: How masks are read.

    Returns:
        Drawings of the boxes, one for each, and of the mask (none, or its
        foreground and its ignored pixels), ``(h, w, 3)`` uint8 of 0 and 255.
    """
    found = loader(dict(results))
    size = results['img'].shape[:2]
    boxes, masks = [], []
    for box in found.get('gt_bboxes', ()):
        # pixels whose centers are inside
        x0, y0, x1, y1 = (max(round(float(value)), 0) for value in box)
        boxes.append(np.zeros(size, np.uint8))
        boxes[-1][y0:y1, x0:x1] = 255
    if 'gt_seg_map' in found:
        masks = [
            (found['gt_seg_map'] == value).astype(np.uint8) * 255 for value in (1, 255)
        ]
    return [cv2.merge([box] * 3) for box in boxes], [
        cv2.merge([mask] * 3) for mask in masks
    ]


def move(
    transform: Any, drawings: Sequence[np.ndarray], state: tuple[Any, ...]
) -> list[np.ndarray]:
    """Run a transform on drawings of annotations.

    It may change colors too. So it also runs on a black and on a white
    drawing: annotation is what comes out nearer to the white one.

    Args:
        transform: The transform.
        drawings: Shape ``(h, w, 3)`` uint8 of 0 and 255.
        state: The random state that the image met.

    Returns:
        The same kind of drawings, moved.
    """
    if not drawings:
        return []
    blank = np.zeros_like(drawings[0])
    done = []
    for drawing in (blank, blank + 255, *drawings):
        set_state(state)
        results = transform(dict(img=drawing, img_shape=drawing.shape[:2]))
        done.append(results['img'].astype(np.float32))
    black, white, *moved = done
    near = [abs(one - black).sum(2) > abs(one - white).sum(2) for one in moved]
    return [cv2.merge([np.uint8(mask) * 255] * 3) for mask in near]


def replay(
    transforms: Sequence[Any], info: Mapping[str, Any], loader: LoadLocAnnotations
) -> tuple[torch.Tensor, DataSample]:
    """Run a pipeline without annotations, and the annotations through it.

    Args:
        transforms: The pipeline.
        info: The data set's info of the image.
        loader: How masks are read.

    Returns:
        The view, ``(3, h, w)`` uint8, and a sample with ``gt_label``,
        ``gt_bboxes`` (what is left in the view, ``xyxy``; no area for a box
        that is gone) and ``gt_seg_map``, where the image has them.

    Raises:
        ValueError: If the pipeline does not pack.
    """
    results: Any = dict(info)
    boxes: list[np.ndarray] | None = None
    masks: list[np.ndarray] = []
    for transform in transforms:
        state = get_state()
        results = transform(results)
        if results is None or 'inputs' in results:
            break
        if boxes is not None:
            after = get_state()
            boxes, masks = move(transform, boxes, state), move(transform, masks, state)
            set_state(after)
        elif 'img' in results:
            boxes, masks = draw_annotations(results, loader)
    if results is None or 'inputs' not in results:
        raise ValueError(
            f'The pipeline gives no `inputs` for {info.get("img_path")}: it '
            'must end in PackInputs.'
        )
    sample = DataSample(metainfo=dict(img_path=info.get('img_path')))
    if 'gt_label' in results['data_samples']:
        sample.set_gt_label(results['data_samples'].gt_label)
    if boxes:
        rects = np.array([cv2.boundingRect(box[..., 0]) for box in boxes])
        corners = np.hstack([rects[:, :2], rects[:, :2] + rects[:, 2:]])
        sample.gt_bboxes = corners.astype(np.float32)
    if masks:
        sample.gt_seg_map = np.where(
            masks[1][..., 0] > 0, 255, masks[0][..., 0] > 0
        ).astype(np.uint8)
    return results['inputs'], sample


def load_view(
    dataset: Any, index: int, carried: bool, loader: LoadLocAnnotations
) -> tuple[np.ndarray, DataSample]:
    """Load one image of a data set as the model sees it.

    Args:
        dataset: The data set.
        index: Which image.
        carried: Whether the pipeline carries annotations itself.
        loader: How masks are read, where it does not.

    Returns:
        The view, BGR, ``(h, w, 3)`` uint8, and its sample.
    """
    if carried:
        packed = dataset[index]
        view, sample = packed['inputs'], packed['data_samples']
    else:
        info = dataset.get_data_info(index)
        view, sample = replay(dataset.pipeline.transforms, info, loader)
    return np.ascontiguousarray(view.permute(1, 2, 0).numpy()), sample


def tint(view: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lay a mask over a view: tint and outline, yellow; ignored pixels gray.

    Args:
        view: BGR, ``(h, w, 3)`` uint8.
        mask: Shape ``(h, w)``, uint8 of 0, 1 and 255 (ignored).

    Returns:
        BGR, ``(h, w, 3)`` uint8.

    Example:
        >>> tint(np.zeros((1, 2, 3), np.uint8), np.uint8([[1, 0]])).tolist()
        [[[0, 255, 255], [0, 0, 0]]]
    """
    view = view.copy()
    for value, color in ((1, YELLOW), (255, GRAY)):
        part = mask == value
        view[part] = np.uint8(0.7 * view[part] + 0.3 * np.array(color))
        contours, _ = cv2.findContours(
            part.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(view, contours, -1, color, 1)
    return view
