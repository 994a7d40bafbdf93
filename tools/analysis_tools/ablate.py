r"""The ablations of the paper (Sec. 4): one command, one table, one plot.

    python tools/analysis_tools/ablate.py CONFIG --study loss --work-dir DIR
    python tools/analysis_tools/ablate.py CONFIG --overrides runs.yaml

A study is a list of runs: the config, each time with some settings changed,
trained by ``tools/train.py`` and tested by ``tools/test.py`` one after
another, with the same budget and seed(s).

======== ==================================================================
loss     every term of the loss left out in turn (Table 1)
lambda   ``model.head.loss.lambda_`` (Tables 2-4, as the next two)
alpha    ``model.head.loss.alpha``
beta     ``model.head.loss.beta``
topk     K of top-k (Fig. 5): no training but that of the config itself, or
         none with --checkpoint; one test pass gives all K
position where the trunk is cut for the generator (Fig. 6)
mask     the background map masks the features or the image (Fig. 7)
init     the trunk's weights: the config's, or random ones (nothing frozen)
======== ==================================================================

``--overrides`` reads other runs from a yaml or json file, their names and
settings::

    paper: {}
    no warm-up: {default_hooks.warmup.epochs: 0}

Of each run DIR keeps ``NAME-seedN.py`` (its config), the folder
``NAME-seedN`` (checkpoint, logs) and, once it is done, ``NAME-seedN.json``
(its metrics). The same command again skips what is done and goes on where a
run was killed. ``table.md``, ``table.csv`` and ``plot.png`` are written after
every run.
"""

import argparse
import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

import bas_mm  # noqa: F401  first, so that its checks speak first

import matplotlib
import mmengine
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmpretrain.registry import DATASETS, MODELS
from torch import nn

from bas_mm.localization import map_to_bbox
from bas_mm.utils.cli import add_config_arguments, load_model, read_config

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

TOOLS = Path(__file__).resolve().parents[1]
SWEEPS = {
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
COLUMNS = (
    'wsol/gt_known',
    'wsol/top1_loc',
    'wsol/top5_loc',
    'wsol/top1_cls',
    'wsol/max_box_acc_v2',
)
BLIND = {'wsol/gt_known_center': 'centred box', 'wsol/gt_known_whole': 'whole view'}


class Run(NamedTuple):
    """One row of the table.

    Attributes:
        name (str): Its name.
        overrides (dict): Dotted settings that differ from the config.
        x (float, optional): Its place on the plot's axis; None: a bar.
    """

    name: str
    overrides: dict
    x: Optional[float] = None


class Job(NamedTuple):
    """One training: a run with a seed, and where it is kept."""

    name: str
    config: Path
    folder: Path
    result: Path

    @property
    def state(self) -> str:
        """str: 'done', 'started' or 'new'."""
        if self.result.exists():
            return 'done'
        return 'started' if (self.folder / 'last_checkpoint').exists() else 'new'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--study', choices=STUDIES)
    what.add_argument('--overrides', metavar='FILE', help='yaml or json file of runs')
    parser.add_argument(
        '--values',
        nargs='+',
        help='of lambda, alpha, beta, K or the layers to cut at (None: after '
        'the last), instead of the defaults',
    )
    parser.add_argument('--checkpoint', help='topk: test this one, train nothing')
    parser.add_argument(
        '--work-dir',
        metavar='DIR',
        help='where everything is kept (default: '
        './work_dirs/ablate_STUDY/<config name>)',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument(
        '--dry-run', action='store_true', help='print the runs and stop'
    )
    add_config_arguments(parser)
    args = parser.parse_args()
    if args.checkpoint and args.study != 'topk':
        parser.error('--checkpoint is for --study topk; other studies train')
    if args.values and args.study not in (*SWEEPS, 'topk', 'position'):
        parser.error('--values is for --study lambda, alpha, beta, topk and position')
    if args.work_dir is None:
        name = args.study or Path(args.overrides).stem
        args.work_dir = str(Path('work_dirs', f'ablate_{name}', Path(args.config).stem))
    return args


def read_overrides(path: str) -> List[Run]:
    """Read runs from a file.

    Raises:
        ValueError: If it does not map names to settings.
    """
    if not path.endswith(('.json', '.yaml', '.yml')):
        raise ValueError(f'--overrides needs a .yaml or .json file, got {path!r}.')
    table = mmengine.load(path)
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
    cfg: Config, study: str, values: Optional[Sequence[str]] = None
) -> List[Run]:
    """The runs of a study.

    Args:
        cfg (Config): The config; one of BAS for all studies but 'topk' and
            'init'.
        study (str): One of ``STUDIES``.
        values (Sequence[str], optional): See ``--values``.

    Raises:
        ValueError: If the config has not what the study varies.
    """
    head, backbone = cfg.model.head, cfg.model.backbone
    if study == 'topk':
        return [Run('config', {})]
    if study == 'init':
        if backbone.get('init_cfg') is None:
            raise ValueError(
                '--study init compares with the pretrained weights of '
                '`model.backbone.init_cfg`, but the config has none.'
            )
        scratch = {'model.backbone.init_cfg': None}
        if 'frozen_stages' in backbone:
            scratch['model.backbone.frozen_stages'] = -1
        return [Run('pretrained', {}), Run('scratch', scratch)]
    if 'map_channels' not in head:
        raise ValueError(
            f'--study {study} varies the generator of BAS and its loss, but '
            f'`model.head` of {cfg.filename} is a {head.type}: give a config '
            'of BAS.'
        )
    if study == 'position':
        return list_positions(cfg, values)
    loss = MODELS.build(head.get('loss') or dict(type='bas_mm.AMCLoss'))
    key = 'model.head.loss.'
    if study == 'mask':
        return [Run(mask, {f'{key}mask': mask}) for mask in ('feature', 'image')]
    if study == 'loss':
        terms = dict(frg='alpha', ac='beta', bas='lambda_')
        terms = {t: w for t, w in terms.items() if getattr(loss, w)}
        runs = [Run('+'.join(['cls', *terms]), {})]
        runs += [
            Run(
                '+'.join(['cls', *(t for t in terms if t != out)]),
                {key + terms[out]: 0},
            )
            for out in reversed(terms)
        ]
        return runs
    weight, points = SWEEPS[study]
    points = {float(v) for v in values or points} | {getattr(loss, weight)}
    return [Run(f'{study}={v:g}', {key + weight: v}, v) for v in sorted(points)]


def list_positions(cfg: Config, values: Optional[Sequence[str]]) -> List[Run]:
    """The runs of the study of the generator's position.

    The channels that the generator reads follow from the cut; the trunk, and
    with it the classification head, stays the same.

    Raises:
        ValueError: If the trunk has no known cuts, or would change.
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
            f'No cuts are known for {kind}, only for '
            f'{", ".join(POSITIONS)}: name layers with --values.'
        )
    trunk = MODELS.build(dict(backbone, init_cfg=None))
    trunk.eval()  # not chained: some backbones give None
    neck = MODELS.build(cfg.model.neck)
    runs = []
    for start in values or POSITIONS[kind]:
        start = None if start in (None, 'None') else start
        neck.start = start
        neck.bind(trunk)
        with torch.inference_mode():
            channels = neck.f1(torch.zeros(1, 3, 96, 96)).shape[1]
        runs.append(
            Run(
                f'before {start}' if start else 'after the last layer',
                {'model.neck.start': start, 'model.head.map_channels': channels},
            )
        )
    return runs


def make_jobs(
    cfg: Config, runs: List[Run], seeds: Sequence[int], work_dir: str
) -> Dict[str, List[Job]]:
    """Give each run with each seed its place; nothing is written.

    Args:
        cfg (Config): The config, not changed.
        runs (list[Run]): The runs.
        seeds (Sequence[int]): Seeds of each run.
        work_dir (str): Folder of the study.

    Returns:
        dict[str, list[Job]]: The jobs of each run, one a seed.

    Raises:
        ValueError: If two runs have the same name as a file.
    """
    root, jobs = Path(work_dir), {}
    for run in runs:
        slug = re.sub(r'[^\w.+=-]+', '-', run.name)
        jobs[run.name] = [
            Job(
                f'{run.name}, seed {seed}',
                *(root / f'{slug}-seed{seed}{end}' for end in ('.py', '', '.json')),
            )
            for seed in seeds
        ]
    files = [job.result for group in jobs.values() for job in group]
    if len(set(files)) < len(files) or len(jobs) < len(runs):
        raise ValueError(
            'Two runs have the same name, or two seeds are the '
            f'same: {[run.name for run in runs]}, {seeds}.'
        )
    return jobs


def write_config(cfg: Config, run: Run, seed: int, job: Job) -> None:
    """Write the config of a job.

    Raises:
        ValueError: If the job was begun with another one.
    """
    cfg = Config(cfg.to_dict())
    cfg.merge_from_dict(
        {**run.overrides, 'work_dir': str(job.folder), 'randomness.seed': seed}
    )
    text = cfg.pretty_text
    if job.config.exists() and job.state != 'new':
        if job.config.read_text(encoding='utf-8') != text:
            raise ValueError(
                f'{job.config} was begun with other settings than these. '
                'Give another --work-dir, or remove the files '
                f'{job.config.stem}* there to run it anew.'
            )
        return
    job.config.parent.mkdir(parents=True, exist_ok=True)
    job.config.write_text(text, encoding='utf-8')


def call(tool: str, job: Job, *options: str) -> None:
    """Run a tool on the config of a job; its output is kept beside it.

    Raises:
        RuntimeError: If it fails, with the end of its output.
    """
    log = job.folder.with_suffix(job.folder.suffix + '.log')
    with open(log, 'ab') as file:
        code = subprocess.call(
            [sys.executable, str(TOOLS / tool), str(job.config), *options],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if code:
        tail = log.read_text(encoding='utf-8', errors='replace')
        tail = '\n    '.join(tail.rstrip().splitlines()[-5:])
        raise RuntimeError(
            f'{tool} ended with code {code}. Its output is in {log}, the '
            f'last lines:\n    {tail}'
        )


def last_checkpoint(job: Job) -> str:
    """The latest checkpoint of a job.

    Raises:
        RuntimeError: If there is none.
    """
    path = job.folder / 'last_checkpoint'
    if not path.exists():
        raise RuntimeError(
            f'The training in {job.folder} has left no checkpoint: the config '
            'needs `default_hooks.checkpoint`.'
        )
    return path.read_text(encoding='utf-8').strip()


def train(job: Job) -> str:
    """Train a job, from where it was left.

    Returns:
        str: Its last checkpoint.
    """
    resume = ['--resume'] if job.state == 'started' else []
    call('train.py', job, '--no-validate', *resume)
    return last_checkpoint(job)


def execute(job: Job) -> None:
    """Train and test a job; done is what has a result file."""
    checkpoint = train(job)
    half = job.result.with_suffix('.tmp.json')
    call('test.py', job, checkpoint, '--out', str(half))
    os.replace(half, job.result)


@torch.inference_mode()
def sweep_topk(cfg: Config, model: nn.Module, ks: Sequence[int]) -> Dict[int, dict]:
    """Test with every K in one pass.

    All classes' maps are taken once, best score first; the map of K is the
    mean of the first K of them (for K = 1, and with ``force_label``, under
    the same rules as in :meth:`bas_mm.models.CAMHead.select_classes`).

    Args:
        cfg (Config): Its test set is used, and of its ``test_evaluator`` the
            ``WSOLAccuracy`` (all where there is none).
        model (WSOLClassifier): The model.
        ks (Sequence[int]): The values of K, 1 to the number of classes.

    Returns:
        dict[int, dict]: The metrics of each K.
    """
    head = model.head
    settings = cfg.test_dataloader
    dataset = DATASETS.build(settings.dataset)
    loader = Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=settings.batch_size,
            num_workers=settings.get('num_workers', 0),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=pseudo_collate,
        )
    )
    metrics = cfg.test_evaluator
    metrics = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    # sweeps over thresholds for every K would take far longer than the pass
    metrics = [
        m
        for m in metrics
        if str(m['type']).endswith('WSOLAccuracy') and m.get('threshold') != 'best'
    ] or metrics
    evaluators = {k: Evaluator(metrics) for k in ks}
    for evaluator in evaluators.values():
        evaluator.dataset_meta = dataset.metainfo
    class_maps, topk, taken = head.class_maps, head.topk, {}

    def record(feat, logit_map, classes):
        taken['classes'] = classes  # (B, C), best first
        taken['maps'] = class_maps(feat, logit_map, classes).float()
        return taken['maps']

    head.topk, head.class_maps = head.num_classes, record
    try:
        for batch in track_iter_progress((loader, len(loader))):
            size = [tuple(view.shape[1:]) for view in batch['inputs']]
            samples = model.test_step(batch)
            maps, classes = taken['maps'], taken['classes']
            label = (
                model.labels(samples)
                if head.map_label == 'gt'
                else torch.cat([sample.pred_label for sample in samples])
            )
            label = label.to(classes.device)
            own = head_maps(maps, classes, label)
            sums = maps.cumsum(1)
            for k, evaluator in evaluators.items():
                mean = sums[:, k - 1] / k
                if k == 1:
                    mean = own
                elif head.force_label:
                    lacks = (classes[:, :k] != label[:, None]).all(1)
                    mean = torch.where(
                        lacks[:, None, None], mean + (own - maps[:, k - 1]) / k, mean
                    )
                for sample, pred_map, view in zip(samples, mean, size):
                    sample.pred_map = pred_map
                    sample.pred_bbox = torch.from_numpy(
                        map_to_bbox(pred_map, view, head.threshold)
                    )
                evaluator.process(samples, batch)
    finally:
        head.topk = topk
        del head.class_maps
    return {k: evaluator.evaluate(len(dataset)) for k, evaluator in evaluators.items()}


def head_maps(
    maps: torch.Tensor, classes: torch.Tensor, label: torch.Tensor
) -> torch.Tensor:
    """The map of each image's label.

    Args:
        maps (torch.Tensor): Maps in the order of ``classes``, ``(B, C, h,
            w)``; of one class only, ``(B, 1, h, w)``, the label's.
        classes (torch.Tensor): ``(B, C)``.
        label (torch.Tensor): ``(B, )``.

    Returns:
        torch.Tensor: ``(B, h, w)``.
    """
    rank = (classes == label[:, None]).int().argmax(1)
    return maps[torch.arange(len(maps), device=maps.device), rank]


def default_ks(num_classes: int, own: int) -> List[int]:
    """1, 2, 3, 5 in every decade, all classes, and the config's own K."""
    ks = [d * 10**e for e in range(5) for d in (1, 2, 3, 5)]
    return sorted(
        {k for k in ks if k < num_classes} | {num_classes, min(own, num_classes)}
    )


def study_topk(
    cfg: Config, checkpoints: Sequence[str], values: Optional[Sequence[str]]
) -> Dict[Run, List[dict]]:
    """The rows of the study of K.

    Raises:
        ValueError: If a K is not 1 to the number of classes.
    """
    results: Dict[int, List[dict]] = {}
    for checkpoint in checkpoints:
        model = load_model(cfg, checkpoint)
        total = model.head.num_classes
        ks = (
            sorted({int(v) for v in values})
            if values
            else default_ks(total, model.head.topk)
        )
        if not 1 <= ks[0] <= ks[-1] <= total:
            raise ValueError(
                f'K must be 1 to {total}, the number of classes, '
                f'got {ks}: see --values.'
            )
        for k, metrics in sweep_topk(cfg, model, ks).items():
            results.setdefault(k, []).append(metrics)
    return [(Run(f'K={k}', {}, k), rows) for k, rows in results.items()]


def mean_std(rows: List[dict], key: str) -> tuple:
    """Mean and sample standard deviation (0 for one row) of a metric."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return float('nan'), 0.0
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(
        values
    ) > 1 else 0.0


def write_report(table: List[tuple], work_dir: str, title: str) -> str:
    """Write the table and the plot of what is done.

    Args:
        table (list[tuple]): Of each run the :class:`Run` and the metrics of
            its seeds, at least one.
        work_dir (str): Where to.
        title (str): Title of the plot.

    Returns:
        str: The table, markdown.
    """
    out = Path(work_dir)
    out.mkdir(parents=True, exist_ok=True)
    metrics = sorted(
        {
            key
            for _, rows in table
            for row in rows
            for key, value in row.items()
            if isinstance(value, (int, float))
        }
    )
    columns = [key for key in COLUMNS if key in metrics] or metrics
    seeds = max(len(rows) for _, rows in table)
    lines = [
        '| run | ' + ' | '.join(key.split('/')[-1] for key in columns) + ' |',
        '|---|' + '---|' * len(columns),
    ]
    for run, rows in table:
        cells = []
        for key in columns:
            mean, std = mean_std(rows, key)
            cells.append(f'{mean:.2f}' + (f' ± {std:.2f}' if len(rows) > 1 else ''))
        name = run.name + (
            f' ({len(rows)} of {seeds} seeds)' if len(rows) < seeds else ''
        )
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    text = '\n'.join(lines)
    (out / 'table.md').write_text(
        f'{text}\n\n`{shlex.join(["python", *sys.argv])}`\n', encoding='utf-8'
    )
    with open(out / 'table.csv', 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, ['run', 'row', *metrics], extrasaction='ignore')
        writer.writeheader()
        for run, rows in table:
            for i, row in enumerate(rows):
                writer.writerow(dict(row, run=run.name, row=i))
    plot(table, columns[:2], out / 'plot.png', title)
    return text


def plot(table: List[tuple], columns: Sequence[str], path: Path, title: str) -> None:
    """Lines over a number, bars for the rest; boxes that look at nothing."""
    fig, axis = plt.subplots(figsize=(7, 4), layout='constrained')
    runs = [run for run, _ in table]
    numeric = all(run.x is not None for run in runs)
    high = [0]
    for i, key in enumerate(columns):
        mean, std = np.array([mean_std(rows, key) for _, rows in table]).T
        high.append(np.nanmax(mean + std))
        label, error = key.split('/')[-1], std if std.any() else None
        if numeric:
            axis.errorbar(
                [run.x for run in runs], mean, error, marker='o', capsize=3, label=label
            )
        else:
            width = 0.8 / len(columns)
            bars = axis.bar(
                np.arange(len(runs)) - 0.4 + width * (i + 0.5),
                mean,
                width,
                yerr=error,
                capsize=3,
                label=label,
            )
            axis.bar_label(bars, fmt='%.1f', fontsize=8)
    for (key, label), style in zip(BLIND.items(), ('--', ':')):
        level = mean_std([row for _, rows in table for row in rows], key)[0]
        if np.isfinite(level) and columns[0] == COLUMNS[0]:
            axis.axhline(
                level, color='k', ls=style, lw=1, label=f'gt_known of the {label}'
            )
            high.append(level)
    if numeric:
        axis.set_xlabel(runs[0].name.split('=')[0])
        axis.grid(alpha=0.3)
        if runs[0].x > 0 and runs[-1].x >= 50:
            axis.set_xscale('log')
        axis.set_xticks(
            [run.x for run in runs], [f'{run.x:g}' for run in runs], fontsize=8
        )
        axis.minorticks_off()
    else:
        axis.set_xticks(
            range(len(runs)),
            [run.name for run in runs],
            rotation=0 if len(runs) < 4 else 15,
        )
        axis.set_ylim(0, 1.1 * np.nanmax(high))
    axis.set_ylabel('%')
    axis.set_title(title, fontsize=10)
    axis.legend(fontsize=8, loc='best', framealpha=0.9)
    fig.savefig(path, dpi=110)
    plt.close(fig)


def main() -> None:
    """Run the study."""
    args = parse_args()
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    title = f'{args.study or Path(args.overrides).stem}: {Path(args.config).stem}'
    if args.checkpoint and not args.dry_run:
        table = study_topk(cfg, [args.checkpoint], args.values)
        print('\n' + write_report(table, args.work_dir, title))
        return
    runs = (
        read_overrides(args.overrides)
        if args.overrides
        else list_runs(cfg, args.study, args.values)
    )
    jobs = make_jobs(cfg, runs, args.seeds, args.work_dir)
    total = sum(map(len, jobs.values()))
    print(f'{total} runs in {args.work_dir}')
    for run in runs:
        for job in jobs[run.name]:
            print(
                f'  {job.state:<8} {job.name:<36} '
                + ' '.join(f'{k}={v}' for k, v in run.overrides.items())
            )
    if args.dry_run:
        return

    for run in runs:  # all at once: no surprise after hours
        for seed, job in zip(args.seeds, jobs[run.name]):
            write_config(cfg, run, seed, job)
    table, failed, count = [], [], 0
    for run in runs:
        rows = []
        for job in jobs[run.name]:
            count += 1
            try:
                if args.study == 'topk':
                    print(f'[{count}/{total}] {job.name}', flush=True)
                    train(job)
                    continue
                if job.state != 'done':
                    print(f'[{count}/{total}] {job.name}', flush=True)
                    execute(job)
                rows.append(json.loads(job.result.read_text()))
            except RuntimeError as error:
                failed.append(f'{job.name}: {error}')
                print(f'  failed: {error}', flush=True)
        if rows:
            table.append((run, rows))
            text = write_report(table, args.work_dir, title)
    if args.study == 'topk' and not failed:
        table = study_topk(
            cfg,
            [last_checkpoint(job) for group in jobs.values() for job in group],
            args.values,
        )
        text = write_report(table, args.work_dir, title)
    if table:
        print(f'\n{text}\n\nTables and plot are in {args.work_dir}')
    if failed:
        sys.exit(
            f'{len(failed)} of {total} runs failed; the same command tries them again.'
        )


if __name__ == '__main__':
    main()
