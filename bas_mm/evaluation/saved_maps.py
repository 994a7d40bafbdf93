"""Evaluation of saved maps of any origin, without a model."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bas_mm.evaluation.broken import BrokenCount
from bas_mm.evaluation.loc_breakdown import LocBreakdown
from bas_mm.evaluation.loc_errors import LocErrors
from bas_mm.evaluation.max_box_acc import MaxBoxAcc
from bas_mm.evaluation.peak_iou import PeakIoU
from bas_mm.evaluation.pxap import PxAP
from bas_mm.evaluation.scores import ImageTable
from bas_mm.evaluation.wsol_accuracy import WSOLAccuracy
from bas_mm.evaluation.wsol_metric import RECIPE_THRESHOLD, WSOLMetric
from bas_mm.localization import box_area
from bas_mm.utils.errors import nearest

# What a list of images may say of each; what a dump says beside.
_COLUMNS = ('image', 'label', 'width', 'height', 'x0', 'y0', 'x1', 'y1')
_KEYS = ('image', 'label', 'labels', 'width', 'height', 'boxes')
_OF_DUMP = ('pred_bbox', 'pred_label', 'ori_shape', 'sample_idx', 'img_path')


class SavedMaps:
    """Maps in files, found by the names of their images.

    Args:
        path: Folder of one ``.npy`` an image (``a.npy`` or, as the WSOL
            benchmark writes them, ``a.jpg.npy``), or one ``.npz`` keyed by
            image. Names as in :class:`~bas_mm.evaluation.scores.ImageTable`.

    Raises:
        FileNotFoundError: If it is neither.
        ValueError: If the ``.npz`` cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        root = Path(path)
        self.table, self.archive = ImageTable(f'maps={str(path)!r}'), None
        if root.is_dir():
            add_files(self.table, root, '.npy')
        elif root.is_file() and root.suffix == '.npz':
            try:
                self.archive = np.load(root, allow_pickle=False)
                names = self.archive.files
            except Exception as error:  # whatever a damaged file can do
                text = ' '.join(str(error).split()).partition('. ')[0]
                raise ValueError(
                    f'{self.table.name} is no .npz file of arrays ({text}).'
                ) from error
            for name in names:
                self.table.add(name, name)
        else:
            raise FileNotFoundError(
                f'maps={str(path)!r} is neither a folder of .npy files nor an '
                '.npz file.'
            )

    def __getitem__(self, image: str) -> np.ndarray:
        """Give the map of an image, ``(h, w)``.

        Raises:
            KeyError: If there is none, or several fit as well.
            ValueError: If it cannot be read, or is not ``(h, w)`` of numbers.
        """
        found = self.table[image]
        try:
            if self.archive is not None:
                pred_map = self.archive[found]
            else:
                pred_map = np.load(found, allow_pickle=False)
            if not isinstance(pred_map, np.ndarray):  # a file inside, not an array
                raise ValueError(f'it holds {type(pred_map).__name__}')
        except Exception as error:  # as above
            text = ' '.join(str(error).split()).partition('. ')[0]
            raise ValueError(
                f'{self.table.name}: the map {str(found)!r} of {image!r} is no array '
                f'of numbers ({text}).'
            ) from error
        if pred_map.ndim != 2 or not pred_map.size or pred_map.dtype.kind not in 'buif':
            raise ValueError(
                f'{self.table.name}: the map {str(found)!r} of {image!r} is '
                f'{pred_map.dtype} of the shape {pred_map.shape}; numbers of the '
                'shape (h, w) are needed.'
            )
        return pred_map


def add_files(table: ImageTable, root: Path, extension: str) -> None:
    """Add the files of a folder to a table, by their paths below it."""
    for file in sorted(root.rglob(f'*{extension}')):
        table.add(str(file.relative_to(root)), file)


def read_images(path: str | Path) -> list[dict[str, Any]]:
    """Read which images to evaluate.

    Args:
        path: A csv or json file, as the help of ``bas-mm eval-maps`` shows them.

    Returns:
        The images in order: ``image`` (the name) and, where known, ``labels``
        (a list), ``width``, ``height`` and ``boxes``, ``xyxy`` in pixels of the
        image, or of the view where width and height are missing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no list of images, or an empty one; if a
            column or key is not known; if some have labels and others none; or
            if a label, a size or a box is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'boxes={str(path)!r}: there is no such file.')
    is_json = Path(path).suffix.lower() == '.json'
    try:
        images = _read_json(path) if is_json else _read_csv(path)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'boxes={str(path)!r} is no text in UTF-8 ({error}): save it as such.'
        ) from error
    if not images:
        raise ValueError(f'boxes={str(path)!r} lists no image.')
    for image in images:
        where, of = f'boxes={str(path)!r}: the', f'of {image["image"]!r}'
        labels = image.pop('labels', image.pop('label', None))
        if not isinstance(labels, list):
            labels = [] if labels is None else [labels]
        if not all(_is_whole(x, 0) for x in labels):
            raise ValueError(
                f'{where} label {labels} {of} is no class index, a whole number '
                'from 0 on.'
            )
        image['labels'] = [int(x) for x in labels]
        size = [image.get(key) for key in ('width', 'height')]
        if size != [None, None] and not all(_is_whole(x, 1) for x in size):
            raise ValueError(
                f'{where} width {size[0]!r} and height {size[1]!r} {of} must be two '
                'whole numbers from 1 on, or both be left out.'
            )
        boxes = image.get('boxes') or []
        if not isinstance(boxes, list) or not all(map(_is_box, boxes)):
            raise ValueError(
                f'{where} boxes {boxes} {of} must be a list of boxes, each of four '
                'numbers, [x0, y0, x1, y1].'
            )
    bare = [image['image'] for image in images if not image['labels']]
    if 0 < len(bare) < len(images):
        raise ValueError(
            f'boxes={str(path)!r}: {bare[0]!r} has no label, others have one: give '
            'labels for all images or for none.'
        )
    return images


def _is_whole(value: Any, least: int) -> bool:
    return type(value) in (int, float) and value >= least and value % 1 == 0


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(type(x) in (int, float) for x in value)
    )


def _check_names(
    path: str | Path, kind: str, names: Iterable[Any], known: Sequence[str]
) -> None:
    """Check that nothing is given under a name that nothing reads."""
    other = [str(name) for name in names if name not in known]
    if other:
        hint = nearest(other[0], known)
        raise ValueError(
            f'boxes={str(path)!r} has the {kind} {", ".join(map(repr, other))}, which '
            f'nothing reads{f": {hint}" if hint else "."} Allowed are '
            f'{", ".join(known)}.'
        )


def _read_json(path: str | Path) -> list[dict[str, Any]]:
    text = Path(path).read_text(encoding='utf-8')
    try:
        images = json.loads(text)
    except ValueError as error:
        raise ValueError(f'boxes={str(path)!r} is no json file: {error}.') from error
    if not isinstance(images, list) or not all(
        isinstance(x, dict) and isinstance(x.get('image'), str) and x['image']
        for x in images
    ):
        raise ValueError(
            f'boxes={str(path)!r} must be a list of objects with "image", a name.'
        )
    keys = dict.fromkeys(key for image in images for key in image)
    _check_names(path, 'keys', (x for x in keys if x not in _OF_DUMP), _KEYS)
    names: set[str] = set()
    for image in images:
        if image['image'] in names:
            raise ValueError(
                f'boxes={str(path)!r} lists {image["image"]!r} twice: put all its '
                '"boxes" into one object.'
            )
        names.add(image['image'])
    return images


def _read_csv(path: str | Path) -> list[dict[str, Any]]:
    images: dict[str, dict[str, Any]] = {}
    with open(path, newline='', encoding='utf-8-sig') as file:
        reader = csv.DictReader(file)
        if 'image' not in (reader.fieldnames or ()):
            raise ValueError(
                f'boxes={str(path)!r} needs a header with the column "image", not '
                f'{reader.fieldnames}.'
            )
        _check_names(path, 'columns', reader.fieldnames or (), _COLUMNS)
        for row in reader:
            where = f'boxes={str(path)!r}, line {reader.line_num}'
            if None in row:
                raise ValueError(
                    f'{where}: there are more values than columns in the header.'
                )
            if not row['image']:
                raise ValueError(f'{where}: the name of the image is missing.')
            image = images.setdefault(row['image'], dict(image=row['image'], boxes=[]))
            for key in ('label', 'width', 'height'):
                if not row.get(key):
                    continue
                try:
                    value = float(row[key])
                except ValueError:
                    value = float('nan')
                if not value.is_integer():
                    raise ValueError(
                        f'{where}: the {key} {row[key]!r} is no whole number.'
                    )
                if image.setdefault(key, int(value)) != value:
                    raise ValueError(
                        f'{where}: the {key} {row[key]!r} of {row["image"]!r} was '
                        f'{image[key]} in a line above.'
                    )
            box = [row.get(key) or '' for key in ('x0', 'y0', 'x1', 'y1')]
            if any(box):
                try:
                    image['boxes'].append([float(x) for x in box])
                except ValueError:
                    raise ValueError(
                        f'{where}: the box {box} must be four numbers, or empty.'
                    ) from None
    return list(images.values())


def read_samples(
    maps: str | Path,
    boxes: str | Path,
    size: Sequence[int] | None = None,
    masks: str | Path | None = None,
    foreground: int = 1,
) -> Iterator[dict[str, Any]]:
    """Read maps and ground truth as the metrics take them, one by one.

    Args:
        maps: See :class:`SavedMaps`.
        boxes: See :func:`read_images`.
        size: ``(h, w)`` of the view; by default that of the image, else that of
            the map.
        masks: Folder of PNG masks under the images' names.
        foreground: Value of the object in them; 255 is ignored otherwise.

    Yields:
        Samples; boxes are ``xyxy`` in pixels of the view.

    Raises:
        FileNotFoundError: If there are no maps, or no masks, at all.
        KeyError: If an image has no map.
        ValueError: See :class:`SavedMaps` and :func:`read_images`; or if a box
            is swapped or outside of its image; if a mask is no PNG of one
            channel; or, in the end, if no mask holds ``foreground``.
    """
    pred_maps = SavedMaps(maps)
    mask_files = ImageTable(f'masks={str(masks)!r}')
    if masks is not None:
        add_files(mask_files, Path(masks), '.png')
        if not len(mask_files):
            raise FileNotFoundError(
                f'masks={str(masks)!r} holds no .png file: give the folder of the '
                'masks, or no masks at all.'
            )
    values: set[int] = set()
    for i, image in enumerate(read_images(boxes)):
        name = image['image']
        pred_map = pred_maps[name]
        frame = [image[k] for k in ('height', 'width') if image.get(k) is not None]
        known = len(frame) == 2
        view = tuple(size or (frame if known else pred_map.shape))
        sample = dict(
            img_path=name,
            sample_idx=i,
            img_shape=view,
            pred_map=pred_map,
            gt_label=image['labels'] or None,
        )
        gt_bboxes = np.array(image.get('boxes') or (), np.float64).reshape(-1, 4)
        if len(gt_bboxes):
            _check_boxes(
                gt_bboxes, frame if known else view, f'boxes={str(boxes)!r}: {name!r}'
            )
            if known:
                # In this order: a box that fills the image fills the view.
                gt_bboxes = gt_bboxes * np.tile(view[::-1], 2) / np.tile(frame[::-1], 2)
            sample['gt_bboxes'] = gt_bboxes
        file = mask_files.get(name)
        if file is not None:
            mask = _read_mask(file)
            values.update(np.unique(mask).tolist())
            sample['gt_seg_map'] = np.where(
                mask == foreground, 1, np.where(mask == 255, 255, 0)
            )
        yield sample
    if values and foreground not in values:
        other = max(values - {0, 255}, default=255)
        hint = (
            f': say which value is the object, such as `--foreground {other}`.'
            if values != {0}
            else ' alone: leave --masks out.'
        )
        raise ValueError(
            f'masks={str(masks)!r}: no mask holds an object, a pixel of the value '
            f'{foreground}; they hold {sorted(values)[:9]}{hint}'
        )


def _check_boxes(boxes: np.ndarray, frame: Sequence[int], where: str) -> None:
    """Check that boxes, ``xyxy``, are not swapped and reach into ``(h, w)``."""
    height, width = frame
    inside = boxes.clip(0, [width, height, width, height])
    # The crop of a view may have left no area of a box.
    swapped = (boxes[:, 2:] < boxes[:, :2]).any(1)
    outside = (box_area(boxes) > 0) & (box_area(inside) == 0)
    wrong = boxes[swapped | outside].tolist()
    if wrong:
        raise ValueError(
            f'{where} has the box {wrong[0]}; x0, y0, x1, y1 with x0 <= x1 and y0 <= '
            f'y1, in the image of {width}x{height} pixels at least in part, is needed.'
        )


def _read_mask(file: Path) -> np.ndarray:
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2:
        raise ValueError(f'{file} is no PNG of one channel.')
    return mask


def evaluate_maps(
    samples: Iterable[dict[str, Any]],
    threshold: float | str = RECIPE_THRESHOLD,
    step: float = 0.01,
    pxap_step: float = 0.001,
    resize: str = 'bilinear',
    scores: str | None = None,
    masks: bool = True,
) -> dict[str, float]:
    """Compute the figures of all metrics on samples.

    Args:
        samples: See :func:`read_samples`.
        threshold: Where maps are cut, for the figures of one box an image: 0 to
            1, or ``'otsu'``.
        step: Between the thresholds of :class:`MaxBoxAcc`.
        pxap_step: Between those of :class:`PxAP`.
        resize: How these two resize maps: ``'bilinear'`` or ``'bicubic'``.
        scores: Scores of a classifier, see
            :class:`~bas_mm.evaluation.scores.ScoreFile`.
        masks: Whether to compute the figures that need masks.

    Returns:
        The figures by name; those of the best threshold of the data set have
        the prefix ``wsol_best``.

    Example:
        >>> truth = dict(gt_label=[0], gt_bboxes=[[0, 0, 1, 1]], pred_score=[1, 0])
        >>> sample = dict(truth, img_shape=(2, 2), pred_map=[[9, 0], [0, 0]])
        >>> evaluate_maps([sample], masks=False)['wsol/top1_loc']
        100.0
    """
    metrics: list[WSOLMetric] = [
        WSOLAccuracy(threshold, scores=scores),
        WSOLAccuracy('best', scores=scores, prefix='wsol_best'),
        MaxBoxAcc(step, resize=resize),
        LocErrors(threshold, scores=scores),
        LocBreakdown(threshold=threshold),
    ]
    if masks:
        metrics += [PxAP(pxap_step, resize=resize), PeakIoU()]
    size = 0
    broken = BrokenCount()
    for sample in broken.watch(samples):
        for metric in metrics:
            metric.process({}, [sample])
        size += 1
    results: dict[str, float] = {}
    for metric in metrics:
        results.update(metric.evaluate(size))
    results.update(broken.report(metrics[0].scores, size))
    return results
