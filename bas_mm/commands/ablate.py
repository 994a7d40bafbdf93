"""The ablations of the paper (Sec. 4): one command, one table, one plot.

  bas-mm ablate CONFIG --study loss --work-dir DIR
  bas-mm ablate CONFIG --overrides runs.yaml

A study is a list of runs: the config, each time with some settings changed,
trained and tested one after another, with the same budget and seed(s).

  loss      every term of the loss left out in turn (Table 1)
  lambda    model.head.loss.lambda_ (Tables 2-4, as the next two)
  alpha     model.head.loss.alpha
  beta      model.head.loss.beta
  topk      K of top-k (Fig. 5): no training but that of the config itself, or
            none with --checkpoint; one test pass gives all K
  position  where the trunk is cut for the generator (Fig. 6)
  mask      the background map masks the features or the image (Fig. 7)
  init      the trunk's weights: the config's, or random ones (nothing frozen)

--overrides reads other runs from a yaml or json file, their names and
settings:

  paper: {}
  no warm-up: {default_hooks.warmup.epochs: 0}

Of each run DIR keeps NAME-seedN.py (its config), the folder NAME-seedN
(checkpoint, logs) and, once it is done, NAME-seedN.json: its metrics, for
topk its checkpoint, which is tested anew each time. The same command again
skips what is done and goes on where a run was killed. table.md, table.csv and
plot.png are written after every run, those of topk in the end.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bas_mm.analysis.ablation import STUDIES, SWEEPS, list_runs, read_overrides
from bas_mm.analysis.jobs import (
    Job,
    Run,
    last_checkpoint,
    make_jobs,
    read_results,
    run_jobs,
    train_alone,
    train_and_test,
    write_config,
)
from bas_mm.analysis.study_table import Table, write_study
from bas_mm.analysis.topk import study_topk
from bas_mm.utils.configs import read_config
from bas_mm.utils.options import add_config_arguments
from bas_mm.utils.texts import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or its name')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--study', choices=STUDIES, help='a study of the paper')
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
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=int,
        default=[0],
        help='a training of each run for each seed (default: 0)',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the runs and stop'
    )
    add_config_arguments(parser)


def check_args(args: argparse.Namespace) -> None:
    """Check the options, and settle the work dir."""
    error = args.parser.error
    if args.checkpoint and args.study != 'topk':
        error('--checkpoint is for --study topk; other studies train')
    if args.values and args.study not in (*SWEEPS, 'topk', 'position'):
        error('--values is for --study lambda, alpha, beta, topk and position')
    if args.work_dir is None:
        name = args.study or Path(args.overrides).stem
        args.work_dir = str(Path('work_dirs', f'ablate_{name}', Path(args.config).stem))


def run(args: argparse.Namespace) -> None:
    """Run the study."""
    check_args(args)
    split = 'test' if args.checkpoint else 'train'
    cfg = read_config(args.config, args.data_root, args.cfg_options, split)
    if args.checkpoint and not args.dry_run:
        print('\n' + write(args, study_topk(cfg, [args.checkpoint], args.values)))
        return
    runs = (
        read_overrides(args.overrides)
        if args.overrides
        else list_runs(cfg, args.study, args.values)
    )
    groups = make_jobs([run.name for run in runs], args.seeds, args.work_dir)
    jobs = [job for group in groups.values() for job in group]
    print_plan(runs, groups, args.work_dir)
    if args.dry_run:
        return
    for one in runs:  # all at once: no surprise after hours
        for seed, job in zip(args.seeds, groups[one.name]):
            write_config(cfg, one.overrides, seed, job)
    topk, failed = args.study == 'topk', 0
    table: Table = []
    for _, error in run_jobs(jobs, train_alone if topk else train_and_test):
        failed += bool(error)
        if not topk:
            write(args, collect(runs, groups))
    if not topk:
        table = collect(runs, groups)
    elif not failed:
        table = study_topk(cfg, [last_checkpoint(job) for job in jobs], args.values)
    if table:
        print(f'\n{write(args, table)}\n\nTables and plot are in {args.work_dir}')
    if failed:
        sys.exit(
            f'{failed} of {len(jobs)} runs failed; the same command tries them again.'
        )


def print_plan(
    runs: Sequence[Run], groups: dict[str, list[Job]], work_dir: str
) -> None:
    """Print all jobs, how far each is and what it changes."""
    print(f'{plural(sum(map(len, groups.values())), "run")} in {work_dir}')
    for one in runs:
        changes = ' '.join(f'{k}={v}' for k, v in one.overrides.items())
        for job in groups[one.name]:
            print(f'  {job.state:<8} {job.name:<36} {changes}')


def collect(runs: Sequence[Run], groups: dict[str, list[Job]]) -> Table:
    """Collect the metrics of what is done."""
    table = [(one, read_results(groups[one.name])) for one in runs]
    return [(one, rows) for one, rows in table if rows]


def write(args: argparse.Namespace, table: Table) -> str:
    """Write table and plot, if there is anything, and give the table."""
    if not table:
        return ''
    name = args.study or Path(args.overrides).stem
    title = f'{name}: {Path(args.config).stem}'
    return write_study(table, args.work_dir, title, args.command_line)
