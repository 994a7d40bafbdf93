"""The ablations of the BAS paper (Sec. 4), each a list of runs."""

from collections.abc import Sequence
from typing import Any

import mmengine
import yaml
from mmengine.config import Config
from mmpretrain.registry import MODELS

from bas_mm.analysis.jobs import Run

#: Weights of the loss, and the values that each is given.
SWEEPS: dict[str, tuple[str, Sequence[float]]] = {
    'lambda': ('lambda_', (0, 0.5, 1, 1.5, 2)),
    'alpha': ('alpha', (0, 0.25, 0.5, 0.75, 1)),
    'beta': ('beta', (0.5, 1, 1.5, 2, 2.5)),
}
#: Cuts after which the features are 56, 28 and 14 (of 224) wide; the
#: EfficientNet's are 28, 14 (its config's) and 14 (the end).
POSITIONS = {
    'VGG': ('features.9', 'features.13', None),
    'MobileNetV1': ('model.4', 'model.12', None),
    'WSOLInceptionV3': ('Mixed_6a', 'Mixed_7a', None),
    'EfficientNetLite0': ('blocks.5', 'blocks.11', None),
}
STUDIES = ('loss', *SWEEPS, 'topk', 'position', 'mask', 'init')

_LOSS = 'model.head.loss.'


def read_overrides(path: str) -> list[Run]:
    """Read runs from a yaml or json file of their names and settings.

    Raises:
        ValueError: If it is no such file, or does not map names to settings.
    """
    if not path.endswith(('.json', '.yaml', '.yml')):
        raise ValueError(f'--overrides needs a .yaml or .json file, got {path!r}.')
    try:
        table = mmengine.load(path)
    except (ValueError, yaml.YAMLError) as error:
        text = ' '.join(str(error).split())
        raise ValueError(f'--overrides {path} cannot be read: {text}.') from error
    if not (
        isinstance(table, dict)
        and table
        and all(isinstance(value, dict) for value in table.values())
    ):
        raise ValueError(
            f'{path} must map the name of each run to its settings, such as '
            '{"no warm-up": {"default_hooks.warmup.epochs": 0}}.'
        )
    return [Run(str(name), dict(value)) for name, value in table.items()]


def list_runs(
    cfg: Config, study: str, values: Sequence[str] | None = None
) -> list[Run]:
    """List the runs of a study.

    Args:
        cfg: The config; one of BAS for all studies but 'topk' and 'init'.
        study: One of ``STUDIES``.
        values: Weights of the loss, layers to cut at or, checked only, K,
            instead of the defaults.

    Raises:
        ValueError: If the config lacks what the study varies, or a value is no
            number where it must be one.
    """
    head = cfg.model.head
    if study == 'topk':
        read_values(values or (), int)
        return [Run('config', {})]
    if study == 'init':
        return _list_inits(cfg)
    if 'map_channels' not in head:
        raise ValueError(
            f'--study {study} varies the generator of BAS and its loss, but '
            f'`model.head` of {cfg.filename} is a {head.type}: give a config '
            'of BAS.'
        )
    if study == 'position':
        return _list_positions(cfg, values)
    if study == 'mask':
        return [Run(mask, {f'{_LOSS}mask': mask}) for mask in ('feature', 'image')]
    loss = MODELS.build(head.get('loss') or dict(type='bas_mm.AMCLoss'))
    # 'auto' follows the other weights, and a study changes one thing alone
    fixed: dict[str, Any] = {}
    if loss.beta == 'auto':
        loss.beta = loss.area_weight(head['num_classes'])
        fixed = {f'{_LOSS}beta': loss.beta}
    if study == 'loss':
        weights = dict(frg='alpha', ac='beta', bas='lambda_')
        terms = [term for term, weight in weights.items() if getattr(loss, weight)]
        runs = [Run('+'.join(['cls', *terms]), fixed)]
        for out in reversed(terms):
            name = '+'.join(['cls', *(term for term in terms if term != out)])
            runs.append(Run(name, {**fixed, _LOSS + weights[out]: 0}))
        return runs
    weight, defaults = SWEEPS[study]
    points = {*read_values(values or defaults, float), getattr(loss, weight)}
    return [
        Run(f'{study}={v:g}', {**fixed, _LOSS + weight: v}, v) for v in sorted(points)
    ]


def read_values(
    values: Sequence[str | float], kind: type[int] | type[float]
) -> list[int] | list[float]:
    """Read the numbers of ``--values``.

    Raises:
        ValueError: If one is none, or not whole where it must be.

    Example:
        >>> read_values(['3', '1'], int)
        [3, 1]
    """
    try:
        return [kind(value) for value in values]
    except ValueError:
        what = 'whole numbers' if kind is int else 'numbers'
        raise ValueError(
            f'--values of this study must be {what}, got {" ".join(map(str, values))}.'
        ) from None


def _list_inits(cfg: Config) -> list[Run]:
    """The config's weights for the trunk, and random ones (nothing frozen)."""
    backbone = cfg.model.backbone
    if backbone.get('init_cfg') is None:
        raise ValueError(
            '--study init compares with the pretrained weights of '
            '`model.backbone.init_cfg`, but the config has none.'
        )
    scratch: dict[str, Any] = {'model.backbone.init_cfg': None}
    if 'frozen_stages' in backbone:
        scratch['model.backbone.frozen_stages'] = -1
    return [Run('pretrained', {}), Run('scratch', scratch)]


def _list_positions(cfg: Config, values: Sequence[str] | None) -> list[Run]:
    """Cuts of the trunk for the generator.

    The channels that the generator reads follow from the cut; the trunk, and
    with it the classification head, stays the same.
    """
    backbone = cfg.model.backbone
    kind = backbone.type.rsplit('.', 1)[-1]
    if cfg.model.neck.get('pool') is not None:
        raise ValueError(
            'The max-pool of `model.neck.pool` stands where the trunk is cut: '
            'moving the cut would change the trunk. Write the runs, with the '
            'strides that make up for it, into a file for --overrides.'
        )
    if values is None and kind not in POSITIONS:
        raise ValueError(
            f'No cuts are known for {kind}, only for {", ".join(POSITIONS)}: name '
            'layers with --values.'
        )
    trunk = MODELS.build(dict(backbone, init_cfg=None))
    runs = []
    for value in values or POSITIONS[kind]:
        start = None if value == 'None' else value
        neck = MODELS.build(dict(cfg.model.neck, start=start))
        neck.bind(trunk)
        overrides = {
            'model.neck.start': start,
            'model.head.map_channels': neck.feat_channels[-2],
        }
        name = f'before {start}' if start else 'after the last layer'
        runs.append(Run(name, overrides))
    return runs
