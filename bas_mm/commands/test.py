"""Test a checkpoint: print the figures to quote, write drawings and results.

All figures go to `metrics.json` in the work dir.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.hooks import EMAHook
from mmengine.runner import Runner

from bas_mm.apis.fast import speed_up
from bas_mm.apis.model import brings_classifier
from bas_mm.apis.resumed_test import describe_maps, go_on
from bas_mm.engine import SummaryHook, WholeCheckpointHook
from bas_mm.engine.runner import build_runner, finish_config, leave_group, start_config
from bas_mm.engine.summary_hook import NAME as SUMMARY
from bas_mm.evaluation import DumpMaps, intervals
from bas_mm.evaluation.map_reader import dump_places
from bas_mm.evaluation.quote import left_out
from bas_mm.utils.files import check_output, plain, without_nan, write_atomic
from bas_mm.utils.loading import require_whole
from bas_mm.utils.models import unwrap
from bas_mm.utils.options import add_fast_argument, add_runner_arguments
from bas_mm.utils.tables import metrics_table, quote_table

PICKLES = ('.pkl', '.pickle')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file; not needed where the config names all weights',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='write results to FILE: .json and .yaml hold the metrics, .pkl '
        'the predictions, unless --out-item says otherwise',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out writes; predictions need a .pkl file',
    )
    parser.add_argument(
        '--dump',
        metavar='DIR|FILE.npz',
        help='keep maps, boxes and scores for `eval-maps` and `report`: in '
        'a folder, or the maps in one .npz and the rest in a folder beside',
    )
    parser.add_argument(
        '--dump-views',
        type=int,
        default=1000,
        metavar='N',
        help='--dump keeps the views of about N images, spread over the '
        'data set, as JPEG (default: 1000)',
    )
    parser.add_argument(
        '--bootstrap',
        type=int,
        default=0,
        metavar='N',
        help='95 %% intervals of the metrics, from N resamples of the images',
    )
    parser.add_argument('--show-dir', metavar='DIR', help='write drawings to DIR')
    parser.add_argument('--show', action='store_true', help='show drawings in a window')
    parser.add_argument(
        '--interval',
        type=int,
        default=1,
        help='draw every INTERVAL-th sample (default: 1)',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that each window stays (default: 2)',
    )
    parser.add_argument(
        '--all',
        action='store_true',
        help='print all figures, not only those to quote',
    )
    add_fast_argument(parser)
    add_runner_arguments(parser)


def check_args(args: argparse.Namespace) -> None:
    """Check the options of the output, and settle what ``--out`` writes."""
    error = args.parser.error
    if args.out is None and args.out_item is not None:
        error('--out-item says what --out writes: give --out FILE too')
    if args.out is not None:
        pickled = args.out.endswith(PICKLES)
        args.out_item = args.out_item or ('pred' if pickled else 'metrics')
        if args.out_item == 'pred' and not pickled:
            error(
                f'--out-item pred needs an --out file that ends in .pkl, got {args.out}'
            )
        if not args.out.endswith((*PICKLES, '.json', '.yaml', '.yml')):
            error(
                f'--out needs a file that ends in .json, .yaml or .pkl, got {args.out}'
            )
    if args.fast and args.amp:
        error('--fast and --amp choose how to compute: leave one of them out')
    for name, least in (('bootstrap', 0), ('dump_views', 0), ('interval', 1)):
        value = getattr(args, name)
        if value < least:
            error(f'--{name.replace("_", "-")} must be at least {least}, got {value}')
    if args.out is not None:
        check_output(args.out, '--out')
    if args.show_dir is not None:
        check_output(args.show_dir, '--show-dir', folder=True)


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the options of testing, in place."""
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        hooks = cfg.get('default_hooks') or {}
        visualization = dict(
            hooks.get('visualization') or dict(type='VisualizationHook')
        )
        visualization.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
        cfg.default_hooks = {**hooks, 'visualization': visualization}
        if cfg.get('visualizer') is None:
            cfg.visualizer = dict(type='bas_mm.WSOLVisualizer')


def build_dump(
    runner: Runner, args: argparse.Namespace, run: dict[str, Any] | None = None
) -> DumpMaps:
    """Build the evaluator that keeps the maps, and what is known of the run.

    Images are named by their path below the data set's root, so that runs on
    copies of the data in different places can be compared.

    Args:
        runner: What tests.
        args: The options of the test.
        run: See :class:`~bas_mm.evaluation.DumpMaps`.
    """
    dataset = runner.test_dataloader.dataset
    model = unwrap(runner.model)
    head = getattr(model, 'head', None)
    info: dict[str, Any] = {}
    if head is not None and hasattr(head, 'test_options'):
        info |= dataclasses.asdict(head.test_options())
        info['num_classes'] = head.num_classes
        if info.pop('percentile') is not None:
            info['percentile'] = head.percentile
        if head.calibration is not None:
            info['calibration'] = dataclasses.asdict(head.calibration)
    dump = DumpMaps(
        args.dump,
        root=getattr(dataset, 'data_root', None),
        view_interval=args.dump_views and -(-len(dataset) // args.dump_views),
        info=dict(
            info,
            model=type(model).__name__,
            config=args.config,
            checkpoint=args.checkpoint,
        ),
        run=run,
    )
    dump.dataset_meta = runner.test_evaluator.dataset_meta
    return dump


def add_intervals(metrics: dict[str, Any], runner: Runner, num: int) -> None:
    """Add intervals to metrics, in place."""
    found = intervals(runner.test_evaluator.metrics, num) if num else {}
    for name, (low, high) in found.items():
        if low <= high:  # not NaN
            metrics[f'{name}_ci95'] = [low, high]


def write_results(
    metrics: dict[str, Any], runner: Runner, args: argparse.Namespace
) -> None:
    """Print and write what a test gave."""
    path = Path(runner.work_dir) / 'metrics.json'
    text = json.dumps(without_nan(plain(metrics)), indent=1)
    write_atomic(path, f'{text}\n'.encode())
    print(metrics_table(metrics) if args.all else quote_table(metrics))
    if note := left_out(metrics):
        print(note)
    if not args.all:
        count = sum(not name.endswith('_ci95') for name in metrics)
        print(f'All {count} figures: {path} (--all prints them)', flush=True)
    if args.out_item == 'metrics':
        if str(args.out).endswith('.json'):
            metrics = without_nan(metrics)
        mmengine.dump(metrics, args.out)


def finish_test(
    metrics: dict[str, Any],
    runner: Runner,
    args: argparse.Namespace,
    summary: SummaryHook,
) -> None:
    """Write what a test gave, and its summary."""
    write_results(metrics, runner, args)
    summary.save(runner, complete=True, figures=metrics)
    if args.dump is not None:  # the report looks there
        text = json.dumps({'test': summary.values}, indent=1)
        write_atomic(dump_places(args.dump)[0] / SUMMARY, f'{text}\n'.encode())


def run(args: argparse.Namespace) -> None:
    """Test."""
    check_args(args)
    cfg = start_config(args)
    merge_args(cfg, args)
    finish_config(cfg, args, 'test')
    if args.checkpoint is None and not brings_classifier(cfg.model):
        args.parser.error(
            f'a CHECKPOINT is needed: {args.config} names no weights for the classifier'
        )
    runner = build_runner(cfg)
    runner.register_hook(WholeCheckpointHook())
    summary = SummaryHook('test', args.command_line)
    runner.register_hook(summary)
    if args.checkpoint is None:
        model = unwrap(runner.model)
        with require_whole(model):
            model.init_weights()
    if args.fast:
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError(
                f'{args.config} has an EMAHook, which puts its weights in the place of '
                "the model's: leave --fast out."
            )
        runner.load_or_resume()  # before the weights are folded
        speed_up(unwrap(runner.model).eval())
    if args.out_item == 'pred':
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    if args.dump is not None:
        runner.load_or_resume()  # the checkpoint knows the calibration
        run = describe_maps(runner, args.checkpoint, args.dump_views, args.fast)
        dump = build_dump(runner, args, run)
        runner.test_evaluator.metrics.append(dump)
        go_on(runner, dump)
    metrics = runner.test()
    if is_main_process():
        add_intervals(metrics, runner, args.bootstrap)
        finish_test(metrics, runner, args, summary)
    leave_group()
