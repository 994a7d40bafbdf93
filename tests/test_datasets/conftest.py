import os.path as osp

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

REPO = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.fixture
def build():
    """Build a data set of ``configs/_base_/datasets``."""

    def from_config(name, part, data_root, **kwargs):
        init_default_scope('mmpretrain')
        cfg = Config.fromfile(
            osp.join(REPO, 'configs', '_base_', 'datasets', f'{name}.py')
        )
        dataset = dict(cfg[f'{part}_dataloader'].dataset, **kwargs)
        return DATASETS.build(dict(dataset, data_root=data_root))

    return from_config


@pytest.fixture
def mini():
    """Path of a real data set beside the repository, or skip."""

    def find(name):
        path = osp.join(REPO, '..', 'shared', 'data', name)
        if not osp.isdir(path):
            pytest.skip(f'{name} is not beside the repository')
        return path

    return find
