"""The commands of ``bas-mm``, a module each.

A module has ``add_arguments(parser)`` and ``run(args)``; its docstring is the
long help.
"""

import argparse
import difflib
import importlib
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

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
    'export-model': 'write a model to a file that runs without bas_mm',
    'webapp': 'a page in the browser that localizes',
    'eval-maps': 'evaluate saved maps of any origin',
    'report': 'put tested runs side by side on one page',
    'compare': 'draw the maps of runs side by side',
    'compare-methods': 'train and test methods alike: one table, one report',
    'browse': 'see what the model will see, annotated',
    'ablate': 'the ablations of the paper, or runs of your own',
    'activation-study': 'activation and cross-entropy of masked features',
    'backbones': 'try which backbones can be cut',
    'benchmark': 'time training, inference, test and loading',
    'benchmark-sweep': 'time the sweep over thresholds',
}


def runs_no_command() -> bool:
    """Tell a ``bas-mm`` that only says which commands there are.

    It needs none of the packages below, whose import takes seconds.

    Returns:
        Whether this process is ``bas-mm`` or ``python -m bas_mm``, and its first
        word is no command: ``--help``, ``--version``, or a mistake.
    """
    program = ''.join(sys.orig_argv[-len(sys.argv) :][:1])  # as it was started
    here = Path(program).name in ('bas-mm', 'bas-mm.exe', 'bas_mm')
    return here and not set(sys.argv[1:2]) & set(COMMANDS)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest option."""

    def error(self, message: str) -> NoReturn:
        """End with a message."""
        unknown = message.removeprefix('unrecognized arguments: ')
        if unknown != message:
            word = unknown.split()[0].partition('=')[0]
            near = difflib.get_close_matches(word, self._option_string_actions, 1)
            message += f'; did you mean {near[0]}?' if near else ''
        self.exit(2, f'{self.prog}: error: {message} (`{self.prog} --help`)\n')


def build_parser(command: str) -> argparse.ArgumentParser:
    """Build the parser of a command."""
    module = importlib.import_module(f'{__name__}.{command.replace("-", "_")}')
    parser = Parser(
        prog=f'bas-mm {command}',
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument(
        '--debug', action='store_true', help='show where an error comes from'
    )
    parser.set_defaults(run=module.run, parser=parser, command_line='')
    return parser


def list_commands() -> str:
    """List the commands, a line each."""
    lines = [f'  {name:<18}{text}' for name, text in COMMANDS.items()]
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; an error ends in one line.

    Args:
        argv: The name of the command and its arguments. Defaults to those of
            the process.

    Raises:
        SystemExit: With a message if the command or its arguments are wrong,
            or an error stops it, see :func:`bas_mm.utils.errors.explain`.
            Where a run has a log file, the traceback is in it. ``--debug`` lets
            errors through.
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
    from mmengine.logging import MMLogger

    from bas_mm.engine.console import tidy_console

    tidy_console(MMLogger.get_current_instance())
    try:
        args.run(args)
    except Exception as error:
        if args.debug:
            raise
        from bas_mm.utils.errors import explain

        path = log_traceback(error)
        text = explain(error)
        if path is not None:
            text = text.replace('shows where)', f'shows where; traceback in {path})')
        sys.exit(text)


def log_traceback(error: Exception) -> str | None:
    """Write the traceback of an error to the log file of the run.

    Returns:
        The log file; None where there is none.
    """
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    files = [x for x in logger.handlers if isinstance(x, logging.FileHandler)]
    if not files:
        return None
    trace = (type(error), error, error.__traceback__)
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, 'The run ends.', (), trace
    )
    for handler in files:
        handler.handle(record)
    return files[0].baseFilename
