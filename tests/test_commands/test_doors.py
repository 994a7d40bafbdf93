"""The scripts in ``tools`` are the commands of ``bas-mm``."""

import re
import runpy
import sys

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


def wanted(command):
    """What a command says with ``--help``."""
    return build_parser(command).format_help()


@pytest.mark.parametrize('door', DOORS, ids=lambda door: door.stem)
def test_doors_lead_to_the_commands(door, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(door), '--help'])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(door), run_name='__main__')
    assert caught.value.code == 0
    assert capsys.readouterr().out == wanted(command_of(door))


@pytest.mark.slow
@pytest.mark.parametrize('words', [[TOOLS / 'train.py'], ['-m', 'bas_mm', 'train']])
def test_in_a_process_of_its_own(tmp_path, monkeypatch, words):
    monkeypatch.setenv('COLUMNS', '80')
    done = run(tmp_path, sys.executable, *words, '--help')
    # the maintained OpenMMLab packages print a line of their own before
    assert done.stdout.endswith(wanted('train'))


@pytest.mark.parametrize(
    'script', sorted(TOOLS.glob('*.sh')), ids=lambda path: path.name
)
def test_scripts_say_how_they_are_used(tmp_path, script):
    done = run(tmp_path, script, code=2)
    assert f'Usage: {script} ' in done.stderr
