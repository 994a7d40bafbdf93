"""The study of K (Fig. 5): one pass through the test set gives every K."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from bas_mm.analysis.ablation import read_values
from bas_mm.analysis.jobs import Metrics, Run
from bas_mm.analysis.loaders import build_loader
from bas_mm.apis.model import load_model
from bas_mm.models import Localizer, WSOLClassifier
from bas_mm.models.classifiers.building import gt_labels
from bas_mm.structures import Acts
from bas_mm.utils.progress import track


@torch.inference_mode()
def sweep_topk(cfg: Config, model: Any, ks: Sequence[int]) -> dict[int, Metrics]:
    """Test with every K in one pass.

    Args:
        cfg: Its test set is used, and of its ``test_evaluator`` the
            ``WSOLAccuracy`` (all where there is none).
        model: The model, a :class:`bas_mm.models.Localizer`.
        ks: The values of K, 1 to the number of classes.

    Returns:
        The metrics of each K.
    """
    loader = build_loader(cfg)
    dataset: Any = loader.dataset
    evaluators = {k: Evaluator(_quick_metrics(cfg)) for k in ks}
    for evaluator in evaluators.values():
        evaluator.dataset_meta = dataset.metainfo
    options = model.head.test_options()
    for batch in track(loader, 'Testing'):
        data = model.data_preprocessor(batch, False)
        inputs, samples = data['inputs'], data['data_samples']
        acts, view_scores, scores = model.score(inputs, data.get('crops'))
        pred_label = scores.argmax(1)
        label = pred_label
        if options.map_label == 'gt':
            label = gt_labels(samples).to(pred_label.device)
        chosen = {
            k: model.head.select_classes(view_scores, label, options.replace(topk=k))
            for k in ks
        }
        order = view_scores.topk(view_scores.shape[1], dim=1).indices
        maps = topk_maps(model, acts, inputs, order, chosen)
        for sample, score, one in zip(samples, scores, pred_label):
            sample.set_pred_score(score).set_pred_label(one)
        for k, evaluator in evaluators.items():
            boxes = model.head.boxes(
                acts, maps[k], inputs.shape[-2:], options.threshold, options.percentile
            )
            _put_places(samples, maps[k], boxes)
            evaluator.process(samples, batch)
    return {k: evaluator.evaluate(len(dataset)) for k, evaluator in evaluators.items()}


def topk_maps(
    model: Localizer,
    acts: Acts,
    inputs: torch.Tensor,
    order: torch.Tensor,
    chosen: dict[int, torch.Tensor],
) -> dict[int, torch.Tensor]:
    """Give the map of each image for every K.

    All classes' maps are taken once, best score first; the map of K is the
    mean of the first K of them. What the rules for K = 1 and ``force_label``
    put in their place is exchanged. A model whose maps are more than such
    means (it has a refiner, or is two networks) gives them K by K.

    Args:
        model: The model.
        acts: Of ``model.score``.
        inputs: Views, ``(B, 3, H, W)``.
        order: All classes, best score first, ``(B, C)``.
        chosen: Classes for each K, ``(B, K)``: those of ``order``, but for
            the last.

    Returns:
        Maps for each K, ``(B, h, w)`` float32.
    """
    plain = isinstance(model, WSOLClassifier) and model.refiner is None
    if not plain:
        return {k: model.maps(acts, inputs, own) for k, own in chosen.items()}
    maps = model.head.class_maps(acts, order).float()
    sums = maps.cumsum(1)
    means = {}
    for k, classes in chosen.items():
        last = maps_of(maps, order, classes[:, -1])
        if k == 1:
            means[k] = last
            continue
        mean = sums[:, k - 1] / k
        swapped = (classes[:, -1] != order[:, k - 1])[:, None, None]
        means[k] = torch.where(swapped, mean + (last - maps[:, k - 1]) / k, mean)
    return means


def maps_of(
    maps: torch.Tensor, order: torch.Tensor, label: torch.Tensor
) -> torch.Tensor:
    """Take one class's map of each image.

    Args:
        maps: Maps in the order of ``order``, ``(B, C, h, w)``.
        order: Class indices, ``(B, C)``.
        label: The classes, ``(B,)``.

    Returns:
        Shape ``(B, h, w)``.

    Example:
        >>> maps = torch.arange(3.0).view(1, 3, 1, 1)
        >>> maps_of(maps, torch.tensor([[2, 0, 1]]), torch.tensor([1])).item()
        2.0
    """
    rank = (order == label[:, None]).int().argmax(1)
    return maps[torch.arange(len(maps), device=maps.device), rank]


def default_ks(num_classes: int, own: int) -> list[int]:
    """List 1, 2, 3, 5 in every decade, all classes, and the config's own K.

    Example:
        >>> default_ks(6, 3)
        [1, 2, 3, 5, 6]
    """
    ks = [d * 10**e for e in range(5) for d in (1, 2, 3, 5)]
    return sorted(
        {k for k in ks if k < num_classes} | {num_classes, min(own, num_classes)}
    )


def study_topk(
    cfg: Config, checkpoints: Sequence[str], values: Sequence[str] | None = None
) -> list[tuple[Run, list[Metrics]]]:
    """Test checkpoints with every K.

    Args:
        cfg: The config of all.
        checkpoints: Checkpoints that differ by their seeds.
        values: The values of K; defaults to :func:`default_ks`.

    Returns:
        A row for each K, with the metrics of each checkpoint.

    Raises:
        ValueError: If a K is no whole number, 1 to the number of classes.
    """
    results: dict[int, list[Metrics]] = {}
    for checkpoint in checkpoints:
        model = load_model(cfg, checkpoint)
        total = model.num_classes
        ks = default_ks(total, model.head.test_options().topk)
        if values:
            ks = sorted({*read_values(values, int)})
        if not 1 <= ks[0] <= ks[-1] <= total:
            raise ValueError(
                f'K must be 1 to {total}, the number of classes, got {ks}: see '
                '--values.'
            )
        for k, metrics in sweep_topk(cfg, model, ks).items():
            results.setdefault(k, []).append(metrics)
    return [(Run(f'K={k}', {}, k), rows) for k, rows in results.items()]


def _quick_metrics(cfg: Config) -> list[Any]:
    """Metrics of the config that do not sweep over thresholds, or all of them.

    Sweeps for every K would take far longer than the pass.
    """
    metrics = cfg.test_evaluator
    metrics = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    quick = [
        metric
        for metric in metrics
        if str(metric['type']).endswith('WSOLAccuracy')
        and metric.get('threshold') != 'best'
    ]
    return quick or metrics


def _put_places(
    samples: Sequence[DataSample], maps: torch.Tensor, boxes: torch.Tensor
) -> None:
    for sample, pred_map, box in zip(samples, maps, boxes):
        sample.pred_map = pred_map
        sample.pred_bbox = box
