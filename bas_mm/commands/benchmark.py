"""Time what a config does beside a plain version of it, in the same run.

train: a training step of BAS, with random weights and the first images of the
config: time, images a second, the shares of forward pass, backward pass and
update, and peak memory. The plain step copies f2 and head for the frozen pass,
computes the maps of all classes, and updates by mmengine's default; it has the
same weights, images and allocator, and the command stops with an error where the
losses of the two differ. On a CPU times are those of the process.

`benchmark-sweep` times the sweep over thresholds.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bas_mm.analysis.step_benchmark import StepTime, time_steps
from bas_mm.apis.model import choose_device
from bas_mm.utils.configs import read_config
from bas_mm.utils.files import check_output, write_atomic
from bas_mm.utils.memory import keep_memory
from bas_mm.utils.options import add_config_arguments, add_device_argument
from bas_mm.utils.tables import render_table

HEADER = 'step ms images/s forward backward update MiB ratio'.split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('what', choices=['train'], help='what is timed')
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--steps', type=int, default=5, metavar='N', help='of each (default: 5)'
    )
    parser.add_argument(
        '--out', metavar='FILE.md', help='write the table, and FILE.json beside it'
    )
    add_device_argument(parser)
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    if args.out is not None and not args.out.endswith('.md'):
        args.parser.error(f'--out must end in .md, got {args.out}')
    if args.out is not None:
        check_output(args.out, '--out')
    cfg = read_config(args.config, args.data_root, args.cfg_options, 'train')
    device = choose_device(args.device)
    if device.type == 'cpu':
        keep_memory()
    found = list(time_steps(cfg, args.steps, device))
    title = f'{args.config}, batches of {found[0].batch_size}, {device}, median step'
    print(f'{title}\n{render_table(HEADER, make_rows(found))}')
    if args.out is not None:
        path = Path(args.out)
        table = render_table(HEADER, make_rows(found), markdown=True)
        write_atomic(path, f'{title}\n\n{table}\n\n`{args.command_line}`\n'.encode())
        content = dict(
            command=args.command_line,
            device=str(device),
            steps=[one._asdict() for one in found],
        )
        text = f'{json.dumps(content, indent=1)}\n'
        write_atomic(path.with_suffix('.json'), text.encode())


def make_rows(found: Sequence[StepTime]) -> list[list[str]]:
    """Lay the figures out; the ratio is that of the plain step's time to each."""
    return [
        [
            one.name,
            f'{1000 * one.step:.0f}',
            f'{one.batch_size / one.step:.1f}',
            *(f'{share:.0%}' for share in (one.forward, one.backward, one.optimizer)),
            '–' if one.memory is None else f'{one.memory:.0f}',
            f'{found[-1].step / one.step:.2f}',
        ]
        for one in found
    ]
