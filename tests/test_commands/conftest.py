import sys

import pytest

from tests.helpers.classifier import make_folder
from tests.helpers.commands import TOOLS, run


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """A folder with a run of two epochs, the tool started as a user does."""
    folder = make_folder(tmp_path_factory.mktemp('trained'))
    words = ['tiny.py', '--data-root', 'data', '--work-dir', 'one']
    run(folder, sys.executable, TOOLS / 'train.py', *words)
    return folder
