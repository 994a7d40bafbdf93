"""A data set that the project draws itself."""

import json
import os
import os.path as osp
import shutil
import uuid
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.logging import MMLogger

from bas_mm.datasets.cub import CUBLocalization
from bas_mm.datasets.files import DATA_ROOT_HINT
from bas_mm.datasets.toy_drawing import (
    BODY_TEXTURE,
    BODY_TINT,
    PART_CONTRAST,
    class_look,
    draw_toy_image,
)
from bas_mm.registry import DATASETS
from bas_mm.utils.threads import run_parallel

#: Raise it whenever the drawing changes: folders drawn before are refused.
TOY_VERSION = 1
SPEC_FILE = 'toy_spec.json'


@DATASETS.register_module()
class ToyLocalization(CUBLocalization):
    """Images drawn by the project, in CUB's layout, masks included.

    The folder is drawn on first use (seconds, no download), deterministic
    from ``seed``, and then read like CUB. An image depends on the seed, its
    class and its number only, not on how many are drawn. The folder is drawn
    beside ``data_root`` and renamed, so several processes may start at once.
    A folder that exists is never changed or deleted.

    Args:
        data_root: The folder to read, drawn if it does not exist.
        split: ``'train'`` or ``'test'``.
        seed: Seed of the drawing.
        num_classes: Number of classes.
        train_per_class: Number of training images of each class.
        test_per_class: Number of test images of each class.
        image_size: Side of the images in pixels, at least 64.
        part_contrast: Contrast of the head's pattern (strong class signal),
            0 to 1.
        body_texture: Strength of the class texture on the body (weak signal),
            0 to 1.
        body_tint: Share of the class color in the body (weak signal), 0 to 1.
        **kwargs: Other arguments of :class:`CUBLocalization`.

    Raises:
        ValueError: If a number is out of range, or ``data_root`` was drawn
            with other options or by another version.
        FileExistsError: If ``data_root`` holds something else.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        *,
        seed: int = 0,
        num_classes: int = 6,
        train_per_class: int = 50,
        test_per_class: int = 20,
        image_size: int = 256,
        part_contrast: float = PART_CONTRAST,
        body_texture: float = BODY_TEXTURE,
        body_tint: float = BODY_TINT,
        **kwargs: Any,
    ) -> None:
        look = dict(
            part_contrast=part_contrast, body_texture=body_texture, body_tint=body_tint
        )
        counts = dict(
            seed=seed,
            num_classes=num_classes,
            train_per_class=train_per_class,
            test_per_class=test_per_class,
            image_size=image_size,
        )
        least = dict(seed=0, image_size=64)
        for name, value in counts.items():
            if not isinstance(value, int) or value < least.get(name, 1):
                raise ValueError(
                    f'`{name}` of ToyLocalization must be an integer, at '
                    f'least {least.get(name, 1)}, but got {value!r}.'
                )
        for name, share in look.items():
            if not 0 <= share <= 1:
                raise ValueError(
                    f'`{name}` of ToyLocalization must be from 0 '
                    f'to 1, but got {share!r}.'
                )
        data_root = osp.abspath(osp.expanduser(data_root))
        _ensure_drawn(data_root, dict(version=TOY_VERSION, **counts, **look))
        super().__init__(data_root=data_root, split=split, **kwargs)


def _ensure_drawn(root: str, spec: dict) -> None:
    """Draw the folder unless it is there; check it if it is."""
    if osp.isdir(root) and os.listdir(root):
        _check_spec(root, spec)
        return
    MMLogger.get_current_instance().info(
        f'Drawing the toy data set into `{root}` (once, some seconds).'
    )
    parent = osp.dirname(root)
    os.makedirs(parent, exist_ok=True)
    draft = osp.join(parent, f'.{osp.basename(root)}.{uuid.uuid4().hex}')
    os.mkdir(draft)
    try:
        _draw_folder(draft, spec)
        try:
            os.rename(draft, root)
        except OSError:
            if not osp.isdir(root):
                raise
            _check_spec(root, spec)  # another process was first
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_spec(root: str, spec: dict) -> None:
    """Check that a folder was drawn with these options by this version."""
    path = osp.join(root, SPEC_FILE)
    if not osp.exists(path):
        raise FileExistsError(
            f'`{root}` was not drawn by ToyLocalization (it has no '
            f'`{SPEC_FILE}`) and is left as it is: {DATA_ROOT_HINT}, one that '
            'does not exist yet, or read images of your own with '
            'CUBLocalization or CustomLocalization.'
        )
    with open(path, encoding='utf-8') as file:
        found = json.load(file)
    differ = [
        f'{k} is {found.get(k)!r} there and {spec.get(k)!r} here'
        for k in sorted(found.keys() | spec.keys())
        if found.get(k) != spec.get(k)
    ]
    if differ:
        raise ValueError(
            f'The toy data set in `{root}` was drawn with other options '
            f'({"; ".join(differ)}). Delete the folder `{root}` to have it drawn '
            'again, or give another one with `--data-root` or `data_root`.'
        )


def _draw_folder(root: str, spec: dict) -> None:
    """Draw all images of ``spec`` into ``root``, in CUB's layout."""
    lists: dict[str, list[str]] = {
        'images': [],
        'image_class_labels': [],
        'train_test_split': [],
        'bounding_boxes': [],
        'classes': [],
    }
    drawings = []
    for label in range(spec['num_classes']):
        pattern, _ = class_look(label, spec['num_classes'])
        name = f'{label + 1:03d}.{pattern}_{label + 1}'
        lists['classes'].append(f'{label + 1} {name}')
        for folder in ('images', 'segmentations'):
            os.makedirs(osp.join(root, folder, name))
        for train, split in ((1, 'train'), (0, 'test')):
            for index in range(spec[f'{split}_per_class']):
                stem = f'{name}/{split}_{index:04d}'
                drawings.append((stem, (train, label, index)))
                key = len(drawings)
                lists['images'].append(f'{key} {stem}.jpg')
                lists['image_class_labels'].append(f'{key} {label + 1}')
                lists['train_test_split'].append(f'{key} {train}')
    boxes = run_parallel(lambda one: _draw_files(root, *one, spec), drawings)
    for key, box in enumerate(boxes, 1):
        numbers = [str(key), *(f'{v}.0' for v in box)]
        lists['bounding_boxes'].append(' '.join(numbers))
    for name, lines in lists.items():
        with open(osp.join(root, f'{name}.txt'), 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
    with open(osp.join(root, SPEC_FILE), 'w', encoding='utf-8') as file:
        json.dump(spec, file, indent=1)


def _draw_files(
    root: str, stem: str, key: tuple[int, int, int], spec: dict
) -> Sequence[int]:
    """Draw one image; write it and its mask.

    Args:
        root: The root folder.
        stem: Path of the image below ``images``, without extension.
        key: Whether it is for training, its class and its number.
        spec: The options of the drawing.

    Returns:
        The object's box, ``x y w h`` in pixels.
    """
    image, mask, _ = draw_toy_image(
        np.random.default_rng([spec['seed'], *key]),
        key[1],
        num_classes=spec['num_classes'],
        image_size=spec['image_size'],
        part_contrast=spec['part_contrast'],
        body_texture=spec['body_texture'],
        body_tint=spec['body_tint'],
    )
    quality = [cv2.IMWRITE_JPEG_QUALITY, 93]
    levels = mask.astype(np.uint8)
    _write(osp.join(root, 'images', stem + '.jpg'), image, quality)
    _write(osp.join(root, 'segmentations', stem + '.png'), levels * 255)
    return cv2.boundingRect(levels)


def _write(path: str, image: np.ndarray, params: Sequence[int] = ()) -> None:
    if not cv2.imwrite(path, image, params):
        raise OSError(f'`{path}` cannot be written: is there space left?')
