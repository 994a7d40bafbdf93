"""Drawings of a report: which images to show, and what is drawn on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmpretrain.structures import DataSample

from bas_mm.analysis.report.document import Card, Document, Drawing
from bas_mm.analysis.report.runs import Run
from bas_mm.visualization import WSOLVisualizer
from bas_mm.visualization.sheet import spread_indices


def choose_images(iou: np.ndarray, num: int) -> dict[str, np.ndarray]:
    """Choose the images that are worth a look.

    Args:
        iou: IoU of the box of each run on each image, ``(runs, n)``.
        num: How many of each kind; at most half of the images, rounded up.

    Returns:
        Indices of images: ``different``, with the largest spread of IoU first
        (only of several runs); ``best`` and ``worst`` by the mean IoU.

    Example:
        >>> {k: v.tolist() for k, v in choose_images(np.eye(2, 3), 2).items()}
        {'different': [0, 1], 'best': [0, 1], 'worst': [2, 1]}
    """
    num = min(num, -(-iou.shape[1] // 2))
    order = np.argsort(-iou.mean(0), kind='stable')
    kinds = dict(best=order[:num], worst=order[::-1][:num])
    if len(iou) > 1:
        spread = iou.max(0) - iou.min(0)
        kinds = dict(different=np.argsort(-spread, kind='stable')[:num], **kinds)
    return kinds


def find_view(runs: Sequence[Run], run: Run, image: str) -> np.ndarray | None:
    """Find the view of a run, in the dump of any run that kept it.

    Args:
        runs: All runs.
        run: The run whose map is to be drawn.
        image: Name of the image.

    Returns:
        The view, ``(h, w, 3)`` uint8, BGR; None if no dump keeps one of the
        size of this run's.
    """
    entry = run.dump.entries[image]
    for other in (run, *runs):
        view = other.dump.view(image)
        if view is not None and view.shape[:2] == (entry['height'], entry['width']):
            return view
    return None


def draw_run(run: Run, image: str, view: np.ndarray) -> bytes:
    """Draw the map and the boxes of a run over a view.

    Args:
        run: The run.
        image: Name of the image.
        view: Shape ``(h, w, 3)`` uint8, BGR.

    Returns:
        The drawing, as JPEG.
    """
    (sample,) = run.dump.samples([image])
    data = DataSample()
    if 'gt_label' in sample:
        data.set_gt_label(torch.from_numpy(sample['gt_label']))
    if 'pred_score' in sample:
        data.set_pred_score(torch.from_numpy(sample['pred_score']))
    if 'pred_label' in sample:
        data.set_pred_label(torch.from_numpy(np.atleast_1d(sample['pred_label'])))
    for key in ('pred_map', 'pred_bbox', 'gt_bboxes'):
        if key in sample:
            setattr(data, key, sample[key])
    drawn = WSOLVisualizer().draw(view, data, run.dump.info.get('classes'))
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    return cv2.imencode('.jpg', np.ascontiguousarray(drawn[..., ::-1]), quality)[
        1
    ].tobytes()


def add_drawings(document: Document, runs: Sequence[Run], num: int) -> None:
    """Add the most different, the best and the worst images to a report.

    Args:
        document: The report.
        runs: The runs, with boxes of the same images.
        num: How many images of each kind.
    """
    # IoU and names are of the images with boxes, in the order of the records.
    iou = np.stack([run.suite.breakdown.last_table()['iou'] for run in runs])
    names = [x for x, has in zip(runs[0].images, runs[0].has) if has[0]]
    kept = [
        i
        for i, name in enumerate(names)
        if all(find_view(runs, run, name) is not None for run in runs)
    ]
    if not kept:
        document.text(
            'No drawings: the dumps keep no views of images with boxes '
            '(bas-mm test --dump-views).'
        )
        return
    document.text(
        f'Chosen by IoU among {len(kept)} images whose view is in the dumps: '
        'extremes, not the usual case. Red: ground truth. Green: the predicted '
        'box. Colors: the map, from blue (low) to red (high).'
    )
    for kind, order in choose_images(iou[:, kept], num).items():
        cards = []
        for number, i in enumerate(kept[place] for place in order):
            drawings = []
            for j, run in enumerate(runs):
                view = find_view(runs, run, names[i])
                assert view is not None
                drawings.append(
                    Drawing(
                        f'{kind}_{number}_{j}.jpg',
                        draw_run(run, names[i], view),
                        f'{run.name}: IoU {iou[j, i]:.2f}',
                    )
                )
            cards.append(Card(names[i].rsplit('/')[-1], drawings))
        document.heading(
            'Most different images' if kind == 'different' else f'{kind.title()} images'
        )
        document.cards(cards)


def add_samples(document: Document, runs: Sequence[Run], num: int) -> None:
    """Add images spread evenly over all, with scores and areas, and no figure.

    What can be looked at where no image has a box.

    Args:
        document: The report.
        runs: The runs.
        num: How many images.
    """
    names = [
        name
        for name in runs[0].images
        if all(find_view(runs, run, name) is not None for run in runs)
    ]
    document.bullets([describe_areas(run) for run in runs])
    if not names:
        document.text(
            'No drawings: the dumps keep no views (bas-mm test --dump-views).'
        )
        return
    document.text(
        'Spread evenly over the images. Green: the predicted box. Colors: the map, '
        'from blue (low) to red (high).'
    )
    cards = []
    for number, i in enumerate(spread_indices(len(names), num)):
        drawings = []
        for j, run in enumerate(runs):
            view = find_view(runs, run, names[i])
            assert view is not None
            share = 100 * box_share(run.dump.entries[names[i]])
            text = f'{run.name}: box {share:.0f} % of the view'
            image = draw_run(run, names[i], view)  # with class and score
            drawings.append(Drawing(f'sample_{number}_{j}.jpg', image, text))
        cards.append(Card(names[i].rsplit('/')[-1], drawings))
    document.cards(cards)


def box_share(entry: Mapping[str, Any]) -> float:
    """Give the share of the view that the predicted box takes; NaN without a box.

    Args:
        entry: ``pred_bbox`` (``xyxy``, pixels of the view), and ``width`` and
            ``height`` of the view.

    Example:
        >>> box_share(dict(pred_bbox=[2, 0, 4, 5], width=10, height=10))
        0.1
    """
    if 'pred_bbox' not in entry:
        return float('nan')
    x0, y0, x1, y1 = np.reshape(entry['pred_bbox'], 4).tolist()
    return (x1 - x0) * (y1 - y0) / (entry['width'] * entry['height'])


def describe_areas(run: Run) -> str:
    """Say how much of the views the boxes of a run take."""
    shares = [100 * box_share(run.dump.entries[name]) for name in run.images]
    low, middle, high = np.nanpercentile(shares, [10, 50, 90])
    return (
        f'{run.name}: the boxes take {middle:.0f} % of the view (median; 80 % of them '
        f'{low:.0f} to {high:.0f} %).'
    )
