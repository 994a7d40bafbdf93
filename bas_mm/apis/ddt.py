"""DDT on a data set: boxes from pretrained features, without training."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv import imresize

from bas_mm.apis.images import load_image
from bas_mm.localization import mask_to_bboxes, whole_box
from bas_mm.models.descriptors import DDT
from bas_mm.utils.progress import track


class Boxed(NamedTuple):
    """An image and its box.

    Attributes:
        number: Of the image in the data set.
        shape: ``(h, w)`` of the image.
        box: Shape ``(4,)``, ``xyxy`` in pixels of the image as it is displayed.
    """

    number: int
    shape: tuple[int, int]
    box: np.ndarray


@torch.no_grad()
def trunk_features(
    model: Any, paths: Sequence[str], size: int, batch_size: int
) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """Give the last features of a trunk.

    Args:
        model: With ``data_preprocessor`` and ``extract_feat``, in eval mode.
        paths: Image files.
        size: Side that images are resized to, whatever their shape, in pixels.
        batch_size: Images that pass the model together.

    Returns:
        Features, ``(n, N, h, w)``, on the CPU, and the ``(h, w)`` of the images.
    """
    feats, shapes = [], []
    for start in range(0, len(paths), batch_size):
        images = [load_image(path) for path in paths[start : start + batch_size]]
        shapes += [image.shape[:2] for image in images]
        views = [
            torch.from_numpy(imresize(image, (size, size))).permute(2, 0, 1)
            for image in images
        ]
        data = model.data_preprocessor(dict(inputs=views), False)
        feats.append(model.extract_feat(data['inputs'], 'pre_logits').cpu())
    return torch.cat(feats), shapes


def ddt_boxes(
    model: Any,
    infos: Sequence[dict[str, Any]],
    size: int = 448,
    batch_size: int = 8,
) -> Iterator[Boxed]:
    """Find a box in each image by what the images of its class share.

    PSOL's first stage (CVPR 2020): where the projection on the first principal
    component of a class's features (:class:`bas_mm.models.DDT`) is above 0 is
    foreground; the box is that of the largest component, and the whole image
    where there is none. The features of one class at a time are in memory.

    Args:
        model: See :func:`trunk_features`.
        infos: ``img_path`` and ``gt_label`` of each image; nothing else is read.
        size: Side of the views, in pixels.
        batch_size: Images that pass the model together.

    Yields:
        One for each image, class by class.

    Raises:
        ValueError: If an image has no label.
    """
    groups = defaultdict(list)
    for index, info in enumerate(infos):
        if info.get('gt_label') is None:
            raise ValueError(
                f'DDT compares the images of a class, and {info["img_path"]!r} has no '
                'label: give a data set with labels.'
            )
        groups[int(info['gt_label'])].append(index)
    for label in track(sorted(groups), 'Classes'):
        paths = [infos[i]['img_path'] for i in groups[label]]
        feats, shapes = trunk_features(model, paths, size, batch_size)
        project = DDT(feats)
        for index, feat, shape in zip(groups[label], feats, shapes):
            yield Boxed(index, shape, largest_box(project(feat[None])[0] > 0, shape))


def largest_box(cells: torch.Tensor, shape: Sequence[int]) -> np.ndarray:
    """Give the box of the largest component of a coarse mask.

    Args:
        cells: Shape ``(h, w)``, bool.
        shape: ``(h, w)`` of the image that they cover.

    Returns:
        Shape ``(4,)``, float32, ``xyxy`` in pixels of the image: the outer edges
        of the cells. The whole image where there are none.

    Example:
        >>> largest_box(torch.tensor([[0, 1], [0, 1]]) > 0, (10, 20)).tolist()
        [10.0, 0.0, 20.0, 10.0]
    """
    boxes, _ = mask_to_bboxes(cells.numpy())
    if not len(boxes):
        return whole_box(shape)
    factor = np.array(shape[::-1]) / np.array(cells.shape[::-1])
    return (boxes[0] * np.tile(factor, 2)).astype(np.float32)
