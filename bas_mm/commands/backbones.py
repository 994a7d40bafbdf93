"""Try which backbones of mmpretrain and timm can be cut and trained.

For every one: build it, cut it, compare f2(f1(x)) with the backbone itself, and
train BAS and CAM for one step. The result is a table in markdown.
"""

import argparse
import re
import warnings
from pathlib import Path

from mmengine.logging import MMLogger

from bas_mm.analysis.backbones import backbone_table, list_backbones, try_backbone
from bas_mm.utils.files import write_atomic
from bas_mm.utils.progress import track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        '--only', nargs='+', metavar='NAME', help='try these alone (timm: "timm: NAME")'
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='markdown file for the tables; what stands above them stays',
    )


def run(args: argparse.Namespace) -> None:
    """Try them."""
    warnings.simplefilter('ignore')
    MMLogger.get_instance('backbones', log_level='ERROR')
    every = dict(list_backbones())
    unknown = sorted(set(args.only or ()) - every.keys())
    if unknown:
        raise ValueError(f'--only {unknown}: the names are {", ".join(every)}.')
    names = args.only or list(every)
    rows = [try_backbone(name, every[name]) for name in track(names, 'Trunks')]
    table = backbone_table(rows)
    print(table)
    if args.out:
        path = Path(args.out)
        text = path.read_text(encoding='utf-8') if path.is_file() else ''
        above = re.split(r'^\d+ of \d+ work', text, maxsplit=1, flags=re.M)[0]
        write_atomic(path, f'{above}{table}\n'.encode())
