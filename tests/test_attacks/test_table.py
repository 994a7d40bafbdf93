"""The table of attacks says what is said."""

import re
from pathlib import Path

import pytest

from tests.helpers.attack_list import ATTACKS
from tests.helpers.attacks import TABLE, Folder, answer, cell, read_rows

NAMES = [attack[0] for attack in ATTACKS]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return Folder(tmp_path_factory.mktemp('attacks'))


@pytest.mark.parametrize('attack', ATTACKS, ids=NAMES)
def test_an_attack(folder, attack):
    code, text = folder.try_one(attack)
    assert re.search(attack[3], text), text[-2000:]
    assert 'Traceback' not in text
    assert cell(answer(code, text, attack[3])) == read_rows()[attack[0]]


def test_a_stranger_checkpoint_runs_nothing(folder):
    (attack,) = [x for x in ATTACKS if x[0] == 'a checkpoint that would run a program']
    folder.try_one(attack)
    assert not (folder.root / 'x' / 'owned').exists()


def test_the_table_is_whole():
    assert list(read_rows()) == NAMES and len(set(NAMES)) == len(NAMES) >= 60


def test_tests_that_the_table_names_are_there():
    found = re.findall(r'`(tests/\S+\.py)::(\w+)`', TABLE.read_text(encoding='utf-8'))
    root = Path(__file__).parents[2]
    for file, name in found:
        assert f'def {name}(' in (root / file).read_text(encoding='utf-8'), name
    assert len(found) > 10
