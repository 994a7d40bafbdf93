"""Time what a config does beside a plain version of it, in the same run.

train: a training step of BAS, with random weights and the first images of the
config: time, images a second, the shares of forward pass, backward pass and
update, peak memory, and what convolutions and matrix products compute. `floor` is the
share of the step that these would take at the best rates that the machine reaches
on single convolutions, depthwise ones apart. The plain step copies f2 and head for the
frozen pass, computes the maps of all classes, and updates by mmengine's default; it
has the same weights, images and allocator.

infer: loaded views to scores, maps and boxes, as `localize` does it, without and
with --fast. Beside it plain: the maps of all classes, then image by image; CAM: the
logit maps of the same network at the size of our maps; and GradCAM of
pytorch-grad-cam, where it is installed.

test: a batch of a test, with the crops of the config's test pipeline. Plain: each
crop through the whole network, the view once more to localize (without crops once
in all), the maps of all classes, image by image.

data: milliseconds an image of each transform of the train and the test pipeline,
and of their loaders with their workers, on the clock.

index: what it takes to list the images of the config's data sets, from their
folders and lists, and, of large ones, from the index that is kept of them.

sweep: what `benchmark-sweep` times.

The command stops with an error where a plain version does not compute the same. On a
CPU times are those of the process.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config

from bas_mm.analysis.arms import ArmTime
from bas_mm.analysis.data_benchmark import time_loading
from bas_mm.analysis.index_benchmark import time_index
from bas_mm.analysis.infer_benchmark import time_inference
from bas_mm.analysis.step_benchmark import time_steps
from bas_mm.analysis.test_benchmark import time_tests
from bas_mm.apis.model import choose_device
from bas_mm.commands import benchmark_sweep
from bas_mm.commands.benchmark_sweep import time_sweep
from bas_mm.utils.configs import read_config
from bas_mm.utils.files import check_output, write_atomic
from bas_mm.utils.memory import keep_memory
from bas_mm.utils.options import add_config_arguments, add_device_argument
from bas_mm.utils.tables import TitledTable, render_table


class Benchmark(NamedTuple):
    """Something that can be timed.

    Attributes:
        run: Gives the table.
        options: Names of the options that it reads.
    """

    run: Callable[[argparse.Namespace], TitledTable]
    options: Sequence[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('what', choices=list(BENCHMARKS), help='what is timed')
    parser.add_argument(
        'config', nargs='?', help='config file, or its name; not for sweep'
    )
    parser.add_argument(
        '--checkpoint', metavar='FILE', help='infer, test: weights (default: random)'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        nargs='+',
        default=[8],
        metavar='N',
        help='infer, test: images at once, a table row for each (default: 8)',
    )
    parser.add_argument(
        '--steps',
        type=int,
        default=5,
        metavar='N',
        help='train, infer, test: timed steps or batches of each (default: 5)',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=100,
        metavar='N',
        help='data: timed images of each split (default: 100)',
    )
    parser.add_argument(
        '--out', metavar='FILE.md', help='write the table, and FILE.json beside it'
    )
    add_device_argument(parser)
    add_config_arguments(parser)
    sweep = parser.add_argument_group('sweep')
    benchmark_sweep.add_arguments(sweep)  # type: ignore[arg-type]


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    check_args(args)
    table = BENCHMARKS[args.what].run(args)
    print(f'{table.title}\n{render_table(table.header, table.rows)}')
    if table.note:
        print(table.note)
    if args.out is not None:
        write_table(table, args)


def check_args(args: argparse.Namespace) -> None:
    """Check that the options are those of the benchmark."""
    error, options = args.parser.error, BENCHMARKS[args.what].options
    if 'config' in options and args.config is None:
        error(f'{args.what} times a config: give its file, or its name')
    for one in sorted({x for other in BENCHMARKS.values() for x in other.options}):
        given = getattr(args, one) != args.parser.get_default(one)
        if given and one not in options:
            name = 'CONFIG' if one == 'config' else f'--{one.replace("_", "-")}'
            error(f'{name} is not for {args.what}: leave it out')
    for name, values in (('batch-size', args.batch_size), ('images', [args.images])):
        if min(values) < 1:
            error(f'--{name} must be at least 1, got {min(values)}')
    if args.out is not None:
        if not args.out.endswith('.md'):
            error(f'--out must end in .md, got {args.out}')
        check_output(args.out, '--out')


def write_table(table: TitledTable, args: argparse.Namespace) -> None:
    """Write the table as markdown, and its figures as JSON."""
    path = Path(args.out)
    text = render_table(table.header, table.rows, markdown=True)
    parts = [table.title, text, table.note, f'`{args.command_line}`']
    write_atomic(path, ('\n\n'.join(filter(None, parts)) + '\n').encode())
    content = dict(command=args.command_line, **table.content)
    text = f'{json.dumps(content, indent=1)}\n'
    write_atomic(path.with_suffix('.json'), text.encode())


def prepare(args: argparse.Namespace, split: str) -> tuple[Config, torch.device]:
    """Read the config, and set memory up as commands that run it do."""
    cfg = read_config(args.config, args.data_root, args.cfg_options, split)
    device = choose_device(args.device)
    if device.type == 'cpu':
        keep_memory()
    return cfg, device


def run_train(args: argparse.Namespace) -> TitledTable:
    """Time a training step."""
    cfg, device = prepare(args, 'train')
    found = list(time_steps(cfg, args.steps, device))
    ours, plain = found
    ratio, bound = plain.step / ours.step, plain.flops / ours.flops
    return TitledTable(
        f'{args.config}, batches of {ours.batch_size}, {device}, median step',
        'step ms images/s forward backward update MiB GFLOP floor ratio'.split(),
        [
            [
                one.name,
                f'{1000 * one.step:.0f}',
                f'{one.batch_size / one.step:.1f}',
                *shares((one.forward, one.backward, one.optimizer)),
                show_memory(one.memory),
                f'{one.flops / 1e9:.1f}',
                *shares([one.floor]),
                f'{plain.step / one.step:.2f}',
            ]
            for one in found
        ],
        dict(device=str(device), steps=[one._asdict() for one in found]),
        f'The plain step computes {bound:.3f} times as much: the ratio reaches '
        f'{ratio / bound:.0%} of what that alone would give.',
    )


def run_infer(args: argparse.Namespace) -> TitledTable:
    """Time inference."""
    cfg, device = prepare(args, 'test')
    words = cfg, args.checkpoint, args.batch_size, args.steps, device
    found = list(time_inference(*words))
    return arms_table(args, device, [x for x, _ in found], [x for _, x in found])


def run_test(args: argparse.Namespace) -> TitledTable:
    """Time batches of a test."""
    cfg, device = prepare(args, 'test')
    words = cfg, args.checkpoint, args.batch_size, args.steps, device
    return arms_table(args, device, list(time_tests(*words)), [])


def arms_table(
    args: argparse.Namespace,
    device: torch.device,
    found: Sequence[Sequence[ArmTime]],
    notes: Sequence[str],
) -> TitledTable:
    """Lay out ways that were timed; ratios are of the plain version's time."""
    rows = []
    for arms in found:
        (plain,) = (one.seconds for one in arms if one.name == 'plain')
        rows += [
            [
                one.name,
                f'{one.batch_size}',
                f'{1000 * one.seconds / one.batch_size:.1f}',
                f'{one.batch_size / one.seconds:.1f}',
                *shares(one.parts.get(x) for x in ('forward', 'maps', 'boxes')),
                show_memory(one.memory),
                f'{plain / one.seconds:.2f}',
            ]
            for one in arms
        ]
    return TitledTable(
        f'{args.config}, {device}, median of {args.steps}',
        'way batch ms/image images/s forward maps boxes MiB ratio'.split(),
        rows,
        dict(
            device=str(device),
            ways=[one._asdict() for arms in found for one in arms],
            notes=list(notes),
        ),
        '\n'.join(notes),
    )


def run_data(args: argparse.Namespace) -> TitledTable:
    """Time the loading of images."""
    cfg = read_config(args.config, args.data_root, args.cfg_options, 'train')
    found = list(time_loading(cfg, args.images))
    return TitledTable(
        f'{args.config}, {args.images} images of each split',
        'split step ms share images/s'.split(),
        [
            [one.split, one.step, f'{one.ms:.2f}', *shares([one.share]), rate(one.ms)]
            for one in found
        ],
        dict(steps=[one._asdict() for one in found]),
    )


def run_index(args: argparse.Namespace) -> TitledTable:
    """Time the listing of images."""
    cfg = read_config(args.config, args.data_root, args.cfg_options, 'train')
    found = list(time_index(cfg))
    return TitledTable(
        args.config,
        ['split', 'from', 'images', 's', 'peak MiB of the process'],
        [
            [
                one.split,
                one.source,
                f'{one.images}',
                f'{one.seconds:.2f}',
                show_memory(one.memory),
            ]
            for one in found
        ],
        dict(steps=[one._asdict() for one in found]),
    )


def rate(ms: float) -> str:
    """Say how many images a second there are.

    Example:
        >>> rate(4), rate(0)
        ('250', '–')
    """
    return f'{1000 / ms:.0f}' if ms else '–'


def shares(values: Iterable[float | None]) -> list[str]:
    """Write shares of the time as percent.

    Example:
        >>> shares([0.25, None])
        ['25%', '–']
    """
    return ['–' if one is None else f'{one:.0%}' for one in values]


def show_memory(mib: float | None) -> str:
    """Write MiB, if they could be measured."""
    return '–' if mib is None else f'{mib:.0f}'


_CONFIG = ('config', 'data_root', 'cfg_options', 'out')
_ARMS = (*_CONFIG, 'device', 'steps', 'checkpoint', 'batch_size')

#: What can be timed; another one is a row here.
BENCHMARKS = {
    'train': Benchmark(run_train, (*_CONFIG, 'device', 'steps')),
    'infer': Benchmark(run_infer, _ARMS),
    'test': Benchmark(run_test, _ARMS),
    'data': Benchmark(run_data, (*_CONFIG, 'images')),
    'index': Benchmark(run_index, _CONFIG),
    'sweep': Benchmark(time_sweep, ('out', 'size', 'step', 'maps')),
}
