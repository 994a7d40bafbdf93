"""Methods side by side: trained and tested alike, one table, one report.

  bas-mm compare-methods CONFIG [CONFIG ...] --data-root DIR --seeds 0 1 2

Each config is trained with each seed and tested. All maps are cut at thresholds
that were chosen in the same way (--threshold): `auto` is found at the end of
training on training images without boxes, `config` leaves it to the configs. The
figure at the threshold that the test images would choose stands beside, and is
called so. The heads get as many classes as the data has.

DIR (--work-dir) keeps of each run NAME-seedN.py (its config), the folder
NAME-seedN (checkpoint, logs) and, once it is done, its metrics,
NAME-seedN-THRESHOLD.json, with its maps beside. The same command again skips what
is done and goes on where a run was killed; another threshold trains nothing anew.
table.md, table.csv, table.json and plot.png are written after every run; in the
end also the cost of a training step, pictures.png (the methods on the same test
images) and report.html. Intervals are of differences to CAM and BAS, or to the
methods of --against: 95 %, paired by seed and image.

--cost-only trains nothing, and measures in minutes what a step of each costs; whole
images stand in for pseudo labels that are not made yet. It writes DIR/costs.md.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from bas_mm.analysis.cost import Costs, measure_costs
from bas_mm.analysis.jobs import run_jobs, share_machine
from bas_mm.analysis.method_report import build_report
from bas_mm.analysis.method_results import Results, draw_methods
from bas_mm.analysis.method_table import Study, make_cost_table, write_table
from bas_mm.analysis.methods import (
    Method,
    choose_references,
    compare_budgets,
    name_methods,
    plan_methods,
)
from bas_mm.apis.model import choose_device
from bas_mm.utils.files import write_atomic
from bas_mm.utils.options import add_config_arguments, threshold
from bas_mm.utils.tables import render_table
from bas_mm.utils.texts import plural
from bas_mm.visualization.sheet import write_drawing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='a config file, or its name'
    )
    parser.add_argument(
        '--names',
        nargs='+',
        help="names of the methods (default: the first word of the configs')",
    )
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=int,
        default=[0],
        help='a training of each method for each seed (default: 0)',
    )
    parser.add_argument(
        '--against',
        nargs='+',
        metavar='NAME',
        help='methods that all are compared with; costs are relative to the first '
        '(default: cam and bas, where they are among the configs)',
    )
    parser.add_argument(
        '--threshold',
        type=threshold,
        default='auto',
        help="where all maps are cut: 'auto', 'config', 'otsu', or 0 to 1 "
        '(default: auto)',
    )
    parser.add_argument(
        '--work-dir',
        metavar='DIR',
        help='where everything is kept (default: '
        './work_dirs/compare_methods/<rest of the first config>)',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        metavar='N',
        help='trainings at once (default: one a GPU; without one, one for two cores)',
    )
    parser.add_argument(
        '--bootstrap',
        type=int,
        default=1000,
        metavar='N',
        help='resamples for the intervals; 0 for none (default: 1000)',
    )
    parser.add_argument(
        '--steps',
        type=int,
        default=5,
        metavar='N',
        help='training steps that are timed; 0 measures no cost (default: 5)',
    )
    parser.add_argument(
        '--cost-only',
        action='store_true',
        help='measure what a training step of each costs, and stop',
    )
    parser.add_argument(
        '--pictures',
        type=int,
        default=12,
        metavar='N',
        help='test images of the sheet; 0 for none (default: 12)',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the runs and stop'
    )
    add_config_arguments(parser)


def check_args(args: argparse.Namespace) -> None:
    """Check the options, and settle names, references and work dir."""
    error = args.parser.error
    if args.names and len(args.names) != len(args.configs):
        error(
            f'--names needs one name for each of the {len(args.configs)} configs, got '
            f'{len(args.names)}'
        )
    for name in ('bootstrap', 'steps', 'pictures'):
        if getattr(args, name) < 0:
            error(f'--{name} must be at least 0, got {getattr(args, name)}')
    if args.cost_only and not args.steps:
        error('--cost-only times training steps: --steps must be at least 1, got 0')
    args.names = args.names or name_methods(args.configs)
    args.against = choose_references(args.names, args.configs, args.against)
    if args.work_dir is None:
        stem = Path(args.configs[0]).stem
        rest = stem.split('_', 1)[-1]
        args.work_dir = str(Path('work_dirs', 'compare_methods', rest))


def run(args: argparse.Namespace) -> None:
    """Run the study."""
    check_args(args)
    places = find_places(args.jobs)
    methods = plan_methods(
        args.configs,
        args.names,
        args.seeds,
        args.work_dir,
        args.threshold,
        args.data_root,
        args.cfg_options,
    )
    if args.cost_only:
        show_costs(args, methods)
        return
    jobs = [job for method in methods for job in method.jobs.values()]
    print_plan(methods, args.work_dir, min(len(places), len(jobs)))
    if args.dry_run:
        return
    for method in methods:  # all at once: no surprise after hours
        method.write_configs()
    runs = {job.result: m.run for m in methods for job in m.jobs.values()}
    results, failed = Results(methods, args.bootstrap), []
    for job, fault in run_jobs(jobs, lambda job: runs[job.result](job), places):
        if fault:
            failed.append(f'{job.name} failed: {fault.splitlines()[0]}')
        results.update()
        if results.done:
            write_table(make_study(args, results, {}, failed), args.work_dir)
    results.update()
    if results.done:
        finish(args, results, failed)
    if failed:
        sys.exit(
            f'{len(failed)} of {len(jobs)} runs failed; the same command tries them '
            'again.'
        )


def find_places(num: int | None) -> list[dict[str, str]]:
    """Divide the machine, see :func:`bas_mm.analysis.jobs.share_machine`."""
    cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count() or 1
    )
    count = torch.cuda.device_count()
    named = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')
    devices = named[:count] if len(named) >= count else list(map(str, range(count)))
    return share_machine(devices, cores, num)


def print_plan(methods: Sequence[Method], work_dir: str, places: int) -> None:
    """Print all runs, how far each is, and where their budgets differ."""
    jobs = [job for method in methods for job in method.jobs.values()]
    print(f'{plural(len(jobs), "run")} in {work_dir}, {places} at once')
    for job in jobs:
        print(f'  {job.state:<8} {job.name}')
    for text in compare_budgets(methods):
        print(f'  {text}')


def make_study(
    args: argparse.Namespace, results: Results, costs: Costs, notes: Sequence[str]
) -> Study:
    """Gather what the table is made of."""
    against = [name for name in args.against if results.runs[name]]
    return Study(
        results,
        against or [results.done[0].name],
        args.threshold,
        costs,
        notes,
        args.command_line,
    )


def show_costs(args: argparse.Namespace, methods: Sequence[Method]) -> None:
    """Measure costs, print and write them."""
    costs, faults = measure(args, methods, args.against[0])
    table = make_cost_table(costs, args.against[0])
    notes = ''.join(f'- {fault}\n' for fault in faults)
    print(f'\n{render_table(*table)}\n{notes}')
    out = Path(args.work_dir, 'costs.md')
    text = render_table(*table, markdown=True)
    write_atomic(out, f'{text}\n\n{notes}\n`{args.command_line}`\n'.encode())
    print(f'The table is in {out}')


def measure(
    args: argparse.Namespace, methods: Sequence[Method], beside: str
) -> tuple[Costs, list[str]]:
    """Measure the costs of methods, see :func:`measure_costs`."""
    return measure_costs(
        {method.name: method.cfg for method in methods},
        beside,
        args.steps,
        choose_device(None),
        Path(args.work_dir, 'costs.json'),
    )


def finish(args: argparse.Namespace, results: Results, failed: Sequence[str]) -> None:
    """Measure the costs, draw the sheet, write table and report."""
    notes, out = list(failed), Path(args.work_dir)
    costs: Costs = {}
    if args.steps:
        beside = make_study(args, results, {}, ()).against[0]
        costs, faults = measure(args, results.done, beside)
        notes += faults
    sheet = None
    if args.pictures:
        sheet = draw_methods(results, args.pictures)
        write_drawing(str(out / 'pictures.png'), sheet)
    study = make_study(args, results, costs, notes)
    print(f'\n{write_table(study, out)}\n')
    print('\n'.join(study.all_notes()))
    paths = build_report(study, sheet).write(out / 'report.html')
    print(f'\nTables and pictures are in {out}, the report is {paths[0]}')
