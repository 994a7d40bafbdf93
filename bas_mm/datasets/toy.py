"""A data set that the project draws itself."""

import json
import os
import os.path as osp
import shutil
import uuid

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
    draw_toy_picture,
)
from bas_mm.registry import DATASETS

#: Raise it whenever the drawing changes: folders drawn before are refused.
TOY_VERSION = 1
SPEC_FILE = 'toy_spec.json'


@DATASETS.register_module()
class ToyLocalization(CUBLocalization):
    """Pictures drawn by the project, in CUB's layout, masks included.

    The folder is drawn on first use (seconds, no download), deterministic
    from ``seed``, and then read like CUB. A picture depends on the seed, its
    class and its number only, not on how many are drawn. The folder is drawn
    beside ``data_root`` and renamed, so several processes may start at once.
    A folder that exists is never changed or deleted.

    Args:
        data_root (str): The folder to read, drawn if it does not exist.
        split (str): "train" or "test". Defaults to "train".
        seed (int): Seed of the drawing. Defaults to 0.
        num_classes (int): Number of classes. Defaults to 6.
        train_per_class (int): Training pictures a class. Defaults to 50.
        test_per_class (int): Test pictures a class. Defaults to 20.
        image_size (int): Side of the pictures in pixels, at least 64.
            Defaults to 256.
        part_contrast (float): Contrast of the head's pattern (strong class
            signal), 0 to 1. Defaults to :data:`PART_CONTRAST`.
        body_texture (float): Strength of the class texture on the body (weak
            signal), 0 to 1. Defaults to :data:`BODY_TEXTURE`.
        body_tint (float): Share of the class colour in the body (weak
            signal), 0 to 1. Defaults to :data:`BODY_TINT`.
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
        **kwargs,
    ):
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
        for name, value in look.items():
            if not 0 <= value <= 1:
                raise ValueError(
                    f'`{name}` of ToyLocalization must be from 0 '
                    f'to 1, but got {value!r}.'
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
    path = osp.join(root, SPEC_FILE)
    if not osp.exists(path):
        raise FileExistsError(
            f'`{root}` was not drawn by ToyLocalization (it has no '
            f'`{SPEC_FILE}`) and is left as it is: {DATA_ROOT_HINT}, one that '
            'does not exist yet, or read pictures of your own with '
            'CUBLocalization or CustomLocalization.'
        )
    with open(path, encoding='utf-8') as file:
        found = json.load(file)
    odd = [
        f'{k} is {found.get(k)!r} there and {spec.get(k)!r} here'
        for k in sorted(found.keys() | spec.keys())
        if found.get(k) != spec.get(k)
    ]
    if odd:
        raise ValueError(
            f'The toy data set in `{root}` was drawn otherwise '
            f'({"; ".join(odd)}). Delete the folder `{root}` to have it drawn '
            'again, or give another one with `--data-root` or `data_root`.'
        )


def _draw_folder(root: str, spec: dict) -> None:
    """Draw all pictures of ``spec`` into ``root``, in CUB's layout."""
    look = {
        k: spec[k]
        for k in (
            'num_classes',
            'image_size',
            'part_contrast',
            'body_texture',
            'body_tint',
        )
    }
    lists: dict[str, list[str]] = {
        k: []
        for k in (
            'images',
            'image_class_labels',
            'train_test_split',
            'bounding_boxes',
            'classes',
        )
    }
    key = 0
    for label in range(spec['num_classes']):
        pattern, _ = class_look(label, spec['num_classes'])
        name = f'{label + 1:03d}.{pattern}_{label + 1}'
        lists['classes'].append(f'{label + 1} {name}')
        for folder in ('images', 'segmentations'):
            os.makedirs(osp.join(root, folder, name))
        for train, count in ((1, spec['train_per_class']), (0, spec['test_per_class'])):
            for index in range(count):
                key += 1
                rng = np.random.default_rng([spec['seed'], train, label, index])
                picture = draw_toy_picture(rng, label, **look)
                stem = f'{name}/{("test", "train")[train]}_{index:04d}'
                _write(
                    osp.join(root, 'images', stem + '.jpg'),
                    picture.image,
                    [cv2.IMWRITE_JPEG_QUALITY, 93],
                )
                mask = picture.mask.astype(np.uint8)
                _write(osp.join(root, 'segmentations', stem + '.png'), mask * 255)
                box = ' '.join(f'{v}.0' for v in cv2.boundingRect(mask))
                lists['images'].append(f'{key} {stem}.jpg')
                lists['image_class_labels'].append(f'{key} {label + 1}')
                lists['train_test_split'].append(f'{key} {train}')
                lists['bounding_boxes'].append(f'{key} {box}')
    for name, lines in lists.items():
        with open(osp.join(root, f'{name}.txt'), 'w', encoding='utf-8') as f:
            f.write('\n'.join(lines) + '\n')
    with open(osp.join(root, SPEC_FILE), 'w', encoding='utf-8') as f:
        json.dump(spec, f, indent=1)


def _write(path: str, image: np.ndarray, params: list | None = None) -> None:
    if not cv2.imwrite(path, image, params or []):
        raise OSError(f'`{path}` cannot be written: is there space left?')
