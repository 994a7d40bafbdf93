import os
import sys

if 'PYTEST_XDIST_WORKER' in os.environ:
    # One thread a worker (`pytest -n`), in the commands that tests start too.
    os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from bas_mm.datasets import ToyLocalization
from tests.helpers.classifier import make_folder
from tests.helpers.commands import TOOLS, run


@pytest.fixture(autouse=True)
def forget_scope():
    """A runner leaves its default scope behind; no test may lean on it."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """A folder with a run of two epochs, the tool started as a user does."""
    folder = make_folder(tmp_path_factory.mktemp('trained'))
    words = ['tiny.py', '--data-root', 'data', '--work-dir', 'one']
    run(folder, sys.executable, TOOLS / 'train.py', *words)
    return folder


@pytest.fixture(scope='session')
def toy_set(tmp_path_factory):
    """The folder of the default toy set, drawn once for all workers."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    ToyLocalization(str(root / 'shared' / 'toy'))
    return root / 'shared' / 'toy'


@pytest.fixture
def beside_toy_set(toy_set, tmp_path, monkeypatch):
    """Work in an empty folder, in which the toy set is where configs expect it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').symlink_to(toy_set.parent)
    return tmp_path


@pytest.fixture
def warnings(monkeypatch):
    """What is said to the log as a warning."""
    seen = []
    monkeypatch.setattr(
        MMLogger.get_current_instance(),
        'warning',
        lambda text, *args: seen.append(text),
    )
    return seen
