import os
import subprocess
import sys
from pathlib import Path

import pytest

from bas_mm.utils import check_environment, env

REPO = Path(__file__).parents[2]


def test_this_environment_passes():
    check_environment()


@pytest.mark.parametrize(
    'name, commands',
    [
        (
            'mmcv',
            ['pip install mmcv-lite', 'mim install mmcv', 'pip install onedl-mmcv'],
        ),
        ('mmengine', ['pip install mmengine', 'pip install onedl-mmengine']),
        ('mmpretrain', ['pip install mmpretrain', 'pip install onedl-mmpretrain']),
        ('torch', ['pip install -c constraints.txt torch torchvision']),
        ('torchvision', ['pip install -c constraints.txt torch torchvision']),
    ],
)
def test_missing_package(monkeypatch, name, commands):
    monkeypatch.setitem(sys.modules, name, None)  # hides it
    with pytest.raises(
        ImportError, match=f'needs {name}, which is not installed'
    ) as info:
        check_environment()
    for command in commands:
        assert f'`{command}`' in str(info.value)


def test_wrong_pair_stops_the_import(tmp_path):
    (tmp_path / 'torchvision.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")'
    )
    path = os.pathsep.join([str(tmp_path), str(REPO)])
    done = subprocess.run(
        [sys.executable, '-c', 'import bas_mm'],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: torch ')
    for words in (
        'and torchvision ',
        'nms does not exist',
        'fit together',
        'pip install --force-reinstall -c constraints.txt torch torchvision',
    ):
        assert words in last


def test_both_sets_of_packages(monkeypatch):
    versions = {'mmengine': '0.10.7', 'onedl-mmengine': '0.10.12'}
    monkeypatch.setattr(env.metadata, 'version', versions.get)
    with pytest.warns(
        UserWarning, match='Both mmengine and onedl-mmengine.*one set only'
    ):
        check_environment()


@pytest.mark.parametrize('name', ['mmengine', 'onedl-mmengine'])
def test_python_on_which_the_original_does_not_train(monkeypatch, name):
    def version(asked):
        if asked == name:
            return '0.10.7'
        raise env.metadata.PackageNotFoundError

    monkeypatch.setattr(env.metadata, 'version', version)
    check_environment()  # this Python is fine
    monkeypatch.setattr(env.sys, 'version_info', (3, 14, 0, 'final', 0))
    if name == 'mmengine':
        with pytest.raises(ImportError, match=r'Python 3\.14.*extra `onedl`'):
            check_environment()
    else:
        check_environment()
