"""Models by file, name, object or checkpoint."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from bas_mm import WSOLInferencer
from bas_mm.apis.model import find_class, find_model
from tests.helpers.inference import CLASSES


@pytest.fixture(scope='module')
def tiny(files):
    return WSOLInferencer(files / 'tiny.pth', device='cpu')


def test_class_names():
    assert find_class(CLASSES, 'cat') == 1  # whole names before parts
    assert find_class(CLASSES, 'RED KITE') == find_class(CLASSES, '0') == 0
    with pytest.raises(ValueError, match="no class 'dog' among its 3"):
        find_class(CLASSES, 'dog')
    with pytest.raises(ValueError, match="no class 'grey'.*2 'grey cat'"):
        find_class(CLASSES, 'grey')
    with pytest.raises(ValueError, match='has 0 to 2'):
        find_class(CLASSES, 3)
    with pytest.raises(ValueError, match='has 0 to 2'):
        find_class(CLASSES, -1)


def test_model_as_file_config_or_checkpoint(files, tiny, make_image):
    image, _ = make_image()
    cfg = Config.fromfile(files / 'tiny.py')
    (expected,) = tiny(image)
    for model, weights in (
        (str(files / 'tiny.py'), files / 'tiny.pth'),
        (cfg, str(files / 'tiny.pth')),
        (cfg.to_dict(), files / 'tiny.pth'),
        (None, files / 'tiny.pth'),
        (files / 'tiny.pth', files / 'tiny.pth'),
    ):
        other = WSOLInferencer(model, weights, device='cpu')
        assert other.classes == list(CLASSES)
        assert np.array_equal(other(image)[0]['scores'], expected['scores'])


def save(path, files, **changes):
    checkpoint = torch.load(files / 'tiny.pth')
    checkpoint['meta'].update(changes.pop('meta', {}))
    torch.save({**checkpoint, **changes}, path)
    return path


def test_a_checkpoint_that_does_not_fit(files, tmp_path):
    cfg = Config.fromfile(files / 'tiny.py')
    cfg.model.head.num_classes = 5
    with pytest.raises(ValueError, match='it has 3 classes and the config 5'):
        WSOLInferencer(cfg, files / 'tiny.pth')
    cfg = Config.fromfile(files / 'tiny.py')
    cfg.model.backbone.base_channels = 8
    with pytest.raises(ValueError, match='another shape.*Give the config'):
        WSOLInferencer(cfg, files / 'tiny.pth')
    path = save(tmp_path / 'other.pth', files, state_dict=dict(a=torch.ones(1)))
    with pytest.raises(ValueError, match=r'1 are unknown \(a\)'):
        WSOLInferencer(files / 'tiny.py', path)
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        WSOLInferencer('gone.pth')
    with pytest.raises(FileNotFoundError, match='no config file .*gone.py'):
        WSOLInferencer('gone.py')
    with pytest.raises(ValueError, match='There are no weights'):
        WSOLInferencer(files / 'tiny.py')
    with pytest.raises(ValueError, match="`view` must be 'full' or 'test'"):
        WSOLInferencer(files / 'tiny.pth', view='crop')


def test_names_follow_the_config_or_are_numbers(files, tmp_path):
    path = save(tmp_path / 'a.pth', files, meta=dict(dataset_meta=None))
    assert WSOLInferencer(path).classes == ['0', '1', '2']
    cfg = Config.fromfile(files / 'tiny.py')
    cfg.test_dataloader.dataset.metainfo = dict(classes=['x', 'y', 'z'])
    assert WSOLInferencer(cfg, path).classes == ['x', 'y', 'z']


def test_models_that_do_not_localize_and_views_that_do_not_map_back(files):
    cfg = Config.fromfile(files / 'tiny.py')
    cfg.model.type = 'ImageClassifier'
    with pytest.raises(ValueError, match="'ImageClassifier' says what, but "):
        WSOLInferencer(cfg, files / 'tiny.pth')
    cfg = Config.fromfile(files / 'tiny.py')
    cfg.test_dataloader.dataset.pipeline[2] = dict(type='ResizeEdge', scale=64)
    with pytest.raises(ValueError, match=r"\['ResizeEdge'\].*view='full'"):
        WSOLInferencer(cfg, files / 'tiny.pth', view='test')
    assert WSOLInferencer(cfg, files / 'tiny.pth')  # the crop tells the size
    del cfg.test_dataloader.dataset.pipeline[2:4]
    with pytest.raises(ValueError, match='does not tell the size of the view'):
        WSOLInferencer(cfg, files / 'tiny.pth')


def test_a_config_that_comes_with_the_package(tmp_path):
    """By its name; a file of weights alone has no names of classes."""
    name = 'bas_efficientnet-lite0_toy'
    cfg, checkpoint, _ = find_model(name, None)
    assert checkpoint is None
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    inferencer = WSOLInferencer(name, weights=tmp_path / 'a.pth', device='cpu')
    assert inferencer.classes == list('012345')
    (result,) = inferencer(np.zeros((90, 70, 3), np.uint8))
    assert result['loc_map'].shape == (90, 70)
    with pytest.raises(FileNotFoundError, match='bas_efficientnet-lite0_toi'):
        WSOLInferencer('bas_efficientnet-lite0_toi', weights=tmp_path / 'a.pth')
