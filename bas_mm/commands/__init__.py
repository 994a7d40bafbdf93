"""The commands of ``bas-mm``, a module each.

A module has ``HELP``, one line; ``add_arguments(parser)``; and ``run(args)``.
Its docstring is the long help.
"""

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence

#: Name of each command, and its module here.
COMMANDS = {
    name: name.replace('-', '_')
    for name in (
        'train',
        'test',
        'localize',
        'export',
        'webapp',
        'eval-maps',
        'report',
        'compare',
        'browse',
        'ablate',
        'activation-study',
        'backbones',
        'benchmark-sweep',
    )
}


def build_parser(command: str) -> argparse.ArgumentParser:
    """Build the parser of a command."""
    module = importlib.import_module(f'bas_mm.commands.{COMMANDS[command]}')
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
    lines = []
    for name, file in COMMANDS.items():
        module = importlib.import_module(f'bas_mm.commands.{file}')
        lines.append(f'  {name:<18}{module.HELP}')
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; an error of the user's ends in one line.

    Args:
        argv: The name of the command and its arguments. Defaults to those of
            the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else '--help'
    if name in ('-h', '--help'):
        print(f'usage: bas-mm COMMAND ...\n\ncommands:\n{list_commands()}')
        print('\n`bas-mm COMMAND --help` tells more.')
        return
    if name not in COMMANDS:
        sys.exit(f'bas-mm has no command {name!r}; it has {", ".join(COMMANDS)}.')
    args = build_parser(name).parse_args(words[1:])
    args.command_line = shlex.join(['bas-mm', *words])
    try:
        args.run(args)
    except (ValueError, OSError, ImportError) as error:
        if args.debug:
            raise
        sys.exit(f'{type(error).__name__}: {error}')
