"""Compare rules for the threshold, and figures that need no boxes, over runs.

RUN is the work dir of a training (config and checkpoint in it). For each, the
threshold that every rule gives is measured by the boxes of its test images:
regret is GT-known Loc lost against the best threshold, which those boxes choose.
The second table says how well each figure of `bas-mm calibrate` orders the runs
of a data set by GT-known Loc, the third compares the methods. What is known of a run
is kept in --out-dir and not computed again.
"""

import argparse
import json
from pathlib import Path

from bas_mm.analysis.calibration_study import (
    correlation_table,
    method_table,
    regret_table,
    study_run,
)
from bas_mm.utils.files import check_output, write_atomic
from bas_mm.utils.options import add_config_arguments
from bas_mm.utils.progress import track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('runs', nargs='+', metavar='RUN', help='work dir of a training')
    parser.add_argument(
        '--out-dir',
        default='calibration_study',
        help='folder for the results (default: calibration_study)',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=100,
        metavar='N',
        help='training images for the rules (default: 100)',
    )
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Study the runs, print the tables and write them."""
    folder = Path(args.out_dir)
    check_output(folder, '--out-dir', folder=True)
    records = []
    for work_dir in track(args.runs, 'Runs'):
        path = folder / f'{Path(work_dir).name}.json'
        if not path.is_file():
            record = study_run(work_dir, args.images, args.data_root, args.cfg_options)
            write_atomic(path, json.dumps(record, indent=1).encode())
        records.append(json.loads(path.read_text()))
    tables = [regret_table(records), correlation_table(records), method_table(records)]
    write_atomic(folder / 'tables.md', '\n\n'.join(tables).encode())
    print('Regret in GT-known Loc, points:', tables[0], sep='\n\n')
    print('\nRank correlation with GT-known Loc at auto:', tables[1], sep='\n\n')
    print('\nGT-known Loc:', tables[2], sep='\n\n')
