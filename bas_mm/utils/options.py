"""Options that commands share."""

import argparse
from typing import Any

from mmengine.config import DictAction


class Settings(DictAction):
    """``KEY=VALUE`` pairs; anything else is an error of the user's."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the pairs."""
        wrong = [value for value in values if '=' not in value]
        if wrong:
            pair = f': did you mean {"=".join(wrong)}?' if len(wrong) == 2 else ''
            words = ' '.join(map(repr, wrong[:2]))
            parser.error(f'{option_string} takes KEY=VALUE pairs, got {words}{pair}')
        super().__call__(parser, namespace, values, option_string)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that reads a config."""
    parser.add_argument(
        '--data-root', metavar='DIR', help='point every data set of the config at DIR'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Settings,
        help='override settings of the config with KEY=VALUE pairs, e.g. '
        'model.head.num_classes=6; lists as key="[a,b]" or key=a,b, tuples '
        'in lists as key="[(a,b),(c,d)]" with the quotation marks and '
        'without blanks. They are applied last and win',
    )


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (default: that of the config, '
        'else ./work_dirs/<config name>)',
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--seed', type=int, help='random seed (default: that of the config)'
    )
    parser.add_argument(
        '--amp', action='store_true', help='use automatic mixed precision'
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin the memory of the data loaders',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run are started (default: none)',
    )
    # torch's launcher passes `--local-rank`, older ones `--local_rank`.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands whose model may be the default one."""
    parser.add_argument(
        '--model',
        help='config (a file, or the name of one that comes with bas_mm), or a '
        'checkpoint that carries its config (default: the classes of ImageNet)',
    )
    parser.add_argument('--weights', help='checkpoint, where --model is a config')
    add_device_argument(parser)


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that choose where the model runs."""
    parser.add_argument('--device', help='cpu, cuda, ... (default: what is there)')


def add_fast_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that trade precision for time."""
    parser.add_argument(
        '--fast',
        action='store_true',
        help='fold BatchNorm into the convolutions, and compute in bfloat16 where the '
        'device has it: scores and maps differ a little, boxes may move',
    )


def add_split_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that write labels for a data set."""
    parser.add_argument(
        '--split',
        choices=['train', 'test'],
        default='train',
        help='which data set of the config (default: train)',
    )


def add_batch_size_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that load images by themselves."""
    parser.add_argument(
        '--batch-size',
        type=int,
        default=8,
        help='images that pass the model together (default: 8)',
    )


def threshold(text: str) -> float | str:
    """Read a threshold: a number or a rule by its name.

    Example:
        >>> threshold('0.2'), threshold('otsu')
        (0.2, 'otsu')
    """
    try:
        return float(text)
    except ValueError:
        return text


def share(text: str) -> float:
    """Read a number from 0 to 1.

    Example:
        >>> share('0.2')
        0.2
    """
    try:
        value = float(text)
    except ValueError:
        value = float('nan')
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'must be a number from 0 to 1, got {text!r}')
    return value


def add_min_score_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that may find nothing."""
    parser.add_argument(
        '--min-score',
        type=share,
        metavar='X',
        help='an image whose class has a lower score, 0 to 1, has no object '
        '(default: every image has one)',
    )


def add_inference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that localize without a Runner."""
    parser.add_argument(
        '--threshold',
        type=threshold,
        help="where the map is cut: 0 to 1, or 'otsu' (default: that of the config)",
    )
    parser.add_argument(
        '--topk',
        type=int,
        help='mean of the maps of so many classes (default: that of the config)',
    )
    add_min_score_argument(parser)
    parser.add_argument(
        '--multi',
        action='store_true',
        help='an object for each component above the threshold, not only for '
        'the largest',
    )
    parser.add_argument(
        '--view',
        choices=['full', 'test'],
        default='full',
        help='what the model sees: the full image, or the crop of the '
        "config's test pipeline (default: full)",
    )
    parser.add_argument(
        '--on-error',
        choices=['raise', 'skip'],
        default='raise',
        help='stop at an image that cannot be read, or leave it out (default: raise)',
    )
    add_batch_size_argument(parser)
    add_fast_argument(parser)
