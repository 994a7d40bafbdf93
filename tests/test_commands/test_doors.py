"""The scripts in ``tools`` are the commands of ``bas-mm``."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bas_mm.commands import COMMANDS
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
    assert set(map(command_of, DOORS)) == COMMANDS.keys() - {'backbones'}


def read_help(*words):
    env = dict(os.environ, COLUMNS='80', PYTHONPATH=str(TOOLS.parent))
    words = [sys.executable, *map(str, words), '--help']
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def helps():
    """The help of each door, and that of its command, read two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            door: [
                pool.submit(read_help, door),
                pool.submit(read_help, '-m', 'bas_mm', command_of(door)),
            ]
            for door in DOORS
            if command_of(door)
        }


@pytest.mark.slow
@pytest.mark.parametrize('door', DOORS, ids=lambda door: door.stem)
def test_doors_lead_to_the_commands(door, helps):
    one, other = (future.result() for future in helps[door])
    assert one == other
    assert one.startswith(f'usage: bas-mm {command_of(door)} ')


@pytest.mark.parametrize(
    'script', sorted(TOOLS.glob('*.sh')), ids=lambda path: path.name
)
def test_scripts_say_how_they_are_used(tmp_path, script):
    done = run(tmp_path, script, code=2)
    assert f'Usage: {script} ' in done.stderr
