"""The wheel alone: built from the tracked files, installed, used elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from bas_mm.engine.checkpoint import PYPI_WEIGHTS

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))

pytestmark = pytest.mark.slow


def run(folder, *words, **env):
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '', **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Build the wheel from a copy: building leaves files in the folder."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in ('bas_mm', 'configs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, folder / 'copy' / name, ignore=ignored)
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, folder / 'copy')
    words = ('wheel', '--no-deps', '--no-index', '--no-build-isolation', '-w', '..')
    run(folder / 'copy', sys.executable, '-m', 'pip', *words, '.')
    (path,) = folder.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    """A folder with the unpacked wheel and its console script."""
    folder = tmp_path_factory.mktemp('site')
    words = ('install', '--no-deps', '--no-index', '--target', folder, wheel)
    run(folder, sys.executable, '-m', 'pip', *words)
    return folder


def test_holds_configs_templates_and_the_mark_of_types(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert CONFIGS
    for path in CONFIGS:
        assert f'bas_mm/configs/{path.relative_to(ROOT / "configs")}' in names
    for path in (ROOT / 'bas_mm').rglob('*'):
        if path.is_file() and '__pycache__' not in path.parts:
            assert str(path.relative_to(ROOT)) in names
    assert not any(re.match('tests/|tools/|build/', name) for name in names)


def test_requires_what_it_needs_by_itself(wheel):
    with zipfile.ZipFile(wheel) as file:
        (name,) = [n for n in file.namelist() if n.endswith('.dist-info/METADATA')]
        metadata = HeaderParser().parsestr(file.read(name).decode())
    needed = [x for x in metadata.get_all('Requires-Dist') if 'extra ==' not in x]
    names = {re.match('[\\w-]+', x)[0] for x in needed}
    assert {'torch', 'mmengine', 'mmcv-lite', 'mmpretrain', 'rich', 'jinja2'} <= names
    assert {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain'} <= names
    assert PYPI_WEIGHTS['efficientnet-lite0'].distribution in names
    for text in needed:  # one set of names on each Python
        if 'mmengine' in text:
            assert ('>= "3.14"' if 'onedl' in text else '< "3.14"') in text


def test_its_command_localizes_in_an_empty_folder(site, tmp_path):
    if find_spec(PYPI_WEIGHTS['efficientnet-lite0'].module) is None:
        pytest.skip('the package with the ImageNet weights is not installed')
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'photo.jpg'), image)
    env = dict(PYTHONPATH=str(site))
    code = 'import bas_mm; print(bas_mm.__file__)'
    assert str(site) in run(tmp_path, sys.executable, '-c', code, **env)
    run(tmp_path, site / 'bin' / 'bas-mm', 'localize', 'photo.jpg', **env)
    drawing = cv2.imread(str(tmp_path / 'localized' / 'photo.jpg'))
    assert drawing is not None


def test_its_configs_are_found_by_name(site, tmp_path):
    code = (
        'import bas_mm\n'
        'from bas_mm.utils.configs import load_config_file\n'
        'path = bas_mm.find_config("bas_vgg16_cub")\n'
        'print(path, load_config_file(path).model.type)'
    )
    path, kind = run(tmp_path, sys.executable, '-c', code, PYTHONPATH=str(site)).split()
    assert path.startswith(str(site)) and kind == 'bas_mm.BASClassifier'
