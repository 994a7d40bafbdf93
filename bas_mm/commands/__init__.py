"""The commands of ``bas-mm``, a module each.

A module has ``add_arguments(parser)`` and ``run(args)``; its docstring is the
long help.
"""

import argparse
import difflib
import importlib
import shlex
import sys
from collections.abc import Sequence

#: Name of each command, and what it does. Its module has its name, with ``_``.
COMMANDS = {
    'train': 'train a model',
    'test': 'test a checkpoint',
    'calibrate': 'find the threshold of a checkpoint without boxes',
    'calibration-study': 'compare rules for the threshold over runs',
    'check': 'read all data once, before it is trained on',
    'localize': 'say what is in images and where',
    'export': 'write boxes and masks of a data set',
    'ddt': 'write boxes of training images without training anything',
    'pseudo-masks': 'write masks of training images, to train a segmenter on',
    'webapp': 'a page in the browser that localizes',
    'eval-maps': 'evaluate saved maps of any origin',
    'report': 'put tested runs side by side on one page',
    'compare': 'draw the maps of runs side by side',
    'browse': 'see what the model will see, annotated',
    'ablate': 'the ablations of the paper, or runs of your own',
    'activation-study': 'activation and cross-entropy of masked features',
    'backbones': 'try which backbones can be cut',
    'benchmark-sweep': 'time the sweep over thresholds',
}


def build_parser(command: str) -> argparse.ArgumentParser:
    """Build the parser of a command."""
    module = importlib.import_module(f'{__name__}.{command.replace("-", "_")}')
    parser = argparse.ArgumentParser(
        prog=f'bas-mm {command}',
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument(
        '--debug', action='store_true', help='show where an error comes from'
    )
    parser.set_defaults(run=module.run, parser=parser)
    return parser


def list_commands() -> str:
    """List the commands, a line each."""
    lines = [f'  {name:<18}{text}' for name, text in COMMANDS.items()]
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; an error of the user's ends in one line.

    Args:
        argv: The name of the command and its arguments. Defaults to those of
            the process.

    Raises:
        SystemExit: With a message if the command or its arguments are wrong,
            or a ``ValueError``, ``OSError``, ``ImportError``, ``KeyError`` (a
            type that is not registered) or ``TypeError`` (a setting that it
            does not have) stops it. ``--debug`` lets these through.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else '--help'
    if name in ('-h', '--help'):
        print(f'usage: bas-mm COMMAND ...\n\ncommands:\n{list_commands()}')
        print('\n`bas-mm COMMAND --help` says more.')
        return
    if name == '--version':
        from bas_mm import __version__

        print(f'bas-mm {__version__}')
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f'did you mean {near[0]}?' if near else f'it has {", ".join(COMMANDS)}.'
        sys.exit(f'bas-mm has no command {name!r}; {meant}')
    args = build_parser(name).parse_args(words[1:])
    args.command_line = shlex.join(['bas-mm', *words])
    try:
        args.run(args)
    except (ValueError, OSError, ImportError, KeyError, TypeError) as error:
        if args.debug:
            raise
        text = str(error)
        if isinstance(error, (KeyError, TypeError)):
            text = f'{error.args[0]} (--debug shows where)'
        sys.exit(f'{type(error).__name__}: {text}')
