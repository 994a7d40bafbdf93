"""Images: found in folders, read as they are displayed, and their views."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.transforms import CenterCrop, Resize
from mmengine.logging import MMLogger
from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps

from bas_mm.datasets.transforms import LoadLocAnnotations, PackLocInputs
from bas_mm.localization import ViewFrame
from bas_mm.utils.files import IMG_EXTENSIONS, OTHER_IMAGES
from bas_mm.utils.images import read_image
from bas_mm.utils.texts import plural

#: A file, an array as OpenCV reads it, or an image of Pillow.
ImageType = str | os.PathLike[str] | np.ndarray | Image.Image
#: A name and the image.
NamedImage = tuple[str, ImageType]


def load_image(source: ImageType) -> np.ndarray:
    """Read an image as it is displayed.

    The EXIF orientation is applied, gray becomes color, an alpha channel is
    dropped, and of 16 bits a channel the upper 8 are kept.

    Args:
        source: A file, or an array as OpenCV reads it: BGR (or BGRA, or
            gray), uint8 or uint16, ``(h, w)``, ``(h, w, 1)``, ``(h, w, 3)``
            or ``(h, w, 4)``; or an image of Pillow.

    Returns:
        BGR, ``(h, w, 3)`` uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no image, cut off or damaged, or the
            array has another shape or type.
        TypeError: If it is none of these.
    """
    if isinstance(source, Image.Image):
        turned = ImageOps.exif_transpose(source).convert('RGB')
        return np.ascontiguousarray(np.asarray(turned)[..., ::-1])
    if isinstance(source, np.ndarray):
        return _check_array(source)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            'An image is a path, a NumPy array in BGR order or an image of Pillow, '
            f'got {type(source).__name__}.'
        )
    return read_image(source)


def _check_array(image: np.ndarray) -> np.ndarray:
    channels = image.shape[2] if image.ndim == 3 else 1
    if (
        image.ndim not in (2, 3)
        or channels not in (1, 3, 4)
        or image.size == 0
        or image.dtype not in (np.uint8, np.uint16)
    ):
        raise ValueError(
            'An image as an array is BGR, BGRA or gray, (h, w), (h, w, 1), '
            '(h, w, 3) or (h, w, 4), uint8 or uint16, and not empty; got '
            f'{image.dtype} {image.shape}.'
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    image = image.reshape(*image.shape[:2], channels)[..., :3]
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def list_images(
    inputs: ImageType | Sequence[ImageType | NamedImage],
    leave_out: str | os.PathLike[str] | None = None,
    drawn: bool = True,
) -> list[NamedImage]:
    """Find images: files, arrays, and what is in folders.

    Args:
        inputs: An image (see :func:`load_image`), a folder, or a list of
            them. Folders are searched with all folders below them. An item
            of a list may also be a pair of name and image, taken as it is.
        leave_out: A folder of results: where it lies inside a folder that is
            searched, nothing in it is taken.
        drawn: Whether drawings go there, under the images' names.

    Returns:
        For each image a name (the path inside the folder, the file's name, or
        a number for an array) and the image. Where several files would get
        one name, all are named by the path below their common folder.

    Raises:
        FileNotFoundError: If a folder holds no image.
        ValueError: If there is nothing at all, or drawings would lie among the
            images of a folder, where the next search takes them for images.
        TypeError: If it is neither an image nor a list of them.
    """
    if isinstance(inputs, (str, os.PathLike, np.ndarray, Image.Image)):
        inputs = [inputs]
    elif not isinstance(inputs, Iterable) or isinstance(inputs, (bytes, Mapping)):
        raise TypeError(
            'Images are a path, a folder, an array, or a list of them; got '
            f'{type(inputs).__name__}.'
        )
    elif isinstance(inputs, tuple) and _is_named(inputs):
        raise TypeError(
            f'A name and an image, ({inputs[0]!r}, ...), belong into a list of them.'
        )
    items: list[NamedImage] = []
    files: dict[int, str] = {}  # those whose names may change
    searched: set[int] = set()
    for item in inputs:
        if isinstance(item, tuple):
            if len(item) != 2 or not isinstance(item[0], str):
                raise TypeError(
                    f'A tuple among images is a name and an image, got {item!r:.80}.'
                )
            items.append(item)
            continue
        if not isinstance(item, (str, os.PathLike)):
            items.append((f'{len(items):06d}', item))
            continue
        start = len(items)
        if osp.isdir(item):
            items += [
                (path.relative_to(item).as_posix(), str(path))
                for path in _search(Path(item), leave_out)
            ]
            searched |= set(range(start, len(items)))
        else:
            items.append((Path(item).name, os.fspath(item)))
        for i in range(start, len(items)):
            files[i] = osp.abspath(str(items[i][1]))
    if not items:
        raise ValueError('No images were given: `inputs` is empty.')
    owners: dict[str, str] = {}
    if any(owners.setdefault(items[i][0], path) != path for i, path in files.items()):
        root = osp.commonpath([osp.dirname(path) for path in files.values()])
        for i, path in files.items():
            items[i] = (Path(path).relative_to(root).as_posix(), items[i][1])
    if leave_out is not None and drawn:
        places = {(osp.dirname(items[i][0]), osp.dirname(files[i])) for i in searched}
        for inner, folder in places:
            if osp.realpath(osp.join(leave_out, inner)) == osp.realpath(folder):
                raise ValueError(
                    f'The drawings would lie among the images of {folder!r}, where the '
                    'next search takes them for images: give another folder '
                    '(--out-dir, show_dir).'
                )
    return items


def _is_named(pair: tuple[Any, ...]) -> bool:
    """Whether a tuple is a name and an image, not two files."""
    if len(pair) != 2 or not isinstance(pair[0], str) or osp.exists(pair[0]):
        return False
    return not (
        isinstance(pair[1], (str, os.PathLike))
        and pair[0].lower().endswith(IMG_EXTENSIONS)
    )


def _search(folder: Path, leave_out: str | os.PathLike[str] | None) -> list[Path]:
    """List the images in a folder, but not those in a folder of results."""
    results = None
    if leave_out is not None:
        root, inner = folder.resolve(), Path(leave_out).resolve()
        if root in inner.parents:
            results = folder / inner.relative_to(root)
    inside = [path for path in folder.rglob('*') if results not in path.parents]
    found = sorted(
        path
        for path in inside
        if path.suffix.lower() in IMG_EXTENSIONS
        # a link that leads nowhere is an image that cannot be read
        and (path.is_file() or (path.is_symlink() and not path.exists()))
    )
    others = Counter(path.suffix.lower() for path in inside)
    kinds = [kind for kind in OTHER_IMAGES if others[kind]]
    if kinds:
        MMLogger.get_current_instance().warning(
            f'Left out of {str(folder)!r}, by their type: '
            f'{plural(sum(others[kind] for kind in kinds), "image")} '
            f'({", ".join(kinds)}). Name or convert them.'
        )
    if not found:
        outside = '' if results is None else f' outside of {str(results)!r}'
        raise FileNotFoundError(
            f'The folder {str(folder)!r} holds no image{outside} '
            f'({", ".join(IMG_EXTENSIONS)}).'
        )
    return found


class View(NamedTuple):
    """What the model sees of an image.

    Attributes:
        inputs: Shape ``(3, h, w)`` uint8, BGR.
        crops: The other crops of a ten-crop test, ``(9, 3, h, w)``, if any.
        frame: Where the view lies in the image.
        detail: What it shows in the image's own pixels, ``(3, H, W)`` uint8,
            if the pipeline keeps them.
    """

    inputs: torch.Tensor
    crops: torch.Tensor | None
    frame: ViewFrame
    detail: torch.Tensor | None = None


class PreparedView(NamedTuple):
    """A view that is not yet a tensor.

    Attributes:
        results: What the steps of the pipeline made.
        frame: Where the view lies in the image.
        detail: See :class:`View`; ``(H, W, 3)``.
    """

    results: dict[str, Any]
    frame: ViewFrame
    detail: np.ndarray | None


def view_size(pipeline: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Give the size of the views that show whole images.

    Args:
        pipeline: The test pipeline of a config.

    Returns:
        ``(h, w)``, in pixels.

    Raises:
        ValueError: See :class:`Viewer`.
    """
    width, height = Viewer(pipeline, 'full').steps[0].scale
    return height, width


class Viewer:
    """Makes views of images as a test pipeline does.

    Args:
        pipeline: The test pipeline of the config.
        kind: 'full', the whole image resized to the crop size of the
            pipeline; or 'test', the pipeline's own resize and crop.

    Raises:
        ValueError: If the pipeline does not tell the size of the view, or a
            step of it cannot be mapped back to the image.
    """

    def __init__(self, pipeline: Sequence[dict[str, Any]], kind: str) -> None:
        steps = [
            TRANSFORMS.build(dict(cfg))
            for cfg in pipeline
            if str(cfg['type']).rsplit('.')[-1] != 'LoadImageFromFile'
        ]
        steps = [
            step
            for step in steps
            if not isinstance(step, (LoadLocAnnotations, PackInputs))
        ]
        others = [
            type(step).__name__
            for step in steps
            if not isinstance(step, (Resize, CenterCrop))
        ]
        if others and kind == 'test':
            raise ValueError(
                f"view='test' cannot be mapped back to the image: {others} in "
                '`test_dataloader.dataset.pipeline` is neither Resize, '
                "CenterCrop nor TenCrop. Use view='full'."
            )
        self.steps = [self._whole(steps)] if kind == 'full' else steps
        self.to_tensors = PackLocInputs(algorithm_keys=())
        self.keep_detail = any(cfg.get('keep_detail') for cfg in pipeline)

    @staticmethod
    def _whole(steps: Sequence[Any]) -> Resize:
        """The resize of the pipeline, but of everything to the crop size."""
        resize = next((s for s in steps if isinstance(s, Resize)), None)
        crops = [s.crop_size for s in steps if isinstance(s, CenterCrop)]
        size = crops[-1] if crops else getattr(resize, 'scale', None)
        if size is None:
            raise ValueError(
                'The config does not tell the size of the view: its '
                '`test_dataloader.dataset.pipeline` has neither a CenterCrop '
                '(or TenCrop) nor a Resize with a `scale`.'
            )
        return Resize(
            scale=tuple(size),
            keep_ratio=False,
            backend=getattr(resize, 'backend', 'pillow'),
            interpolation=getattr(resize, 'interpolation', 'bilinear'),
        )

    def __call__(self, image: np.ndarray) -> View:
        """Make the view of one image, BGR, ``(h, w, 3)`` uint8."""
        return self.pack(self.prepare(image))

    def prepare(self, image: np.ndarray) -> PreparedView:
        """Resize and crop one image; may run in a thread.

        There torch must stay out, which would open threads of its own for each.

        Args:
            image: BGR, ``(h, w, 3)`` uint8.
        """
        height, width = image.shape[:2]
        # stock transforms move boxes along: where one goes tells the rest
        probe = np.array([[width, height] * 2]) * [0.375, 0.375, 0.625, 0.625]
        results: dict[str, Any] = dict(
            img=image,
            img_shape=(height, width),
            ori_shape=(height, width),
            gt_bboxes=probe,
        )
        for step in self.steps:
            results = step(results)
        moved = results['gt_bboxes'][0]
        scale = (moved[2:] - moved[:2]) / (probe[0, 2:] - probe[0, :2])
        shift = (moved[:2] - scale * probe[0, :2]).round(9)
        frame = ViewFrame(results['img'].shape[:2], (height, width), scale, shift)
        detail = frame.cut(image) if self.keep_detail else None
        return PreparedView(results, frame, detail)

    def pack(self, prepared: PreparedView) -> View:
        """Make tensors of what was prepared."""
        packed, detail = self.to_tensors(prepared.results), None
        if prepared.detail is not None:
            cut = np.ascontiguousarray(prepared.detail.transpose(2, 0, 1))
            detail = torch.from_numpy(cut)
        return View(packed['inputs'], packed.get('crops'), prepared.frame, detail)
