"""The scripts in ``tools`` are the commands of ``bas-mm``."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bas_mm.commands import COMMANDS, build_parser
from tests.helpers.commands import TOOLS, run

DOORS = sorted(set(TOOLS.rglob('*.py')) - {TOOLS / 'build_backend.py'})
LINE = re.compile(r"main\(\['([\w-]+)', \*sys\.argv\[1:\]\]\)")


def command_of(door):
    """The command that a door names, if it is one."""
    names = LINE.findall(door.read_text())
    return names[0] if len(names) == 1 else None


@pytest.mark.parametrize('door', DOORS, ids=lambda door: door.stem)
def test_doors_are_thin(door):
    assert len(door.read_text().splitlines()) <= 20
    assert command_of(door) in COMMANDS


def test_a_door_for_every_command():
    """But for those that never had one."""
    assert set(map(command_of, DOORS)) == COMMANDS.keys() - {'backbones', 'benchmark'}


@pytest.fixture(scope='module')
def helps(tmp_path_factory):
    """What each door, and the package run as a module, say with ``--help``."""
    folder = tmp_path_factory.mktemp('doors')
    with ThreadPoolExecutor(2) as pool:
        words = {door: [sys.executable, door] for door in DOORS}
        words['module'] = [sys.executable, '-m', 'bas_mm', 'train']
        yield {
            door: pool.submit(run, folder, *command, '--help')
            for door, command in words.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize(
    'door', [*DOORS, 'module'], ids=lambda x: getattr(x, 'stem', x)
)
def test_doors_lead_to_the_commands(door, helps, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    command = 'train' if door == 'module' else command_of(door)
    # the maintained OpenMMLab packages print a line of their own before
    assert helps[door].result().stdout.endswith(build_parser(command).format_help())


@pytest.mark.parametrize(
    'script', sorted(TOOLS.glob('*.sh')), ids=lambda path: path.name
)
def test_scripts_say_how_they_are_used(tmp_path, script):
    done = run(tmp_path, script, code=2)
    assert f'Usage: {script} ' in done.stderr
