"""Methods in the inferencer, which knows none of them."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from bas_mm.apis import WSOLInferencer
from bas_mm.models import ZoomRefiner
from tests.helpers.inference import make_files

VIT_TRUNK = {
    'backbone': dict(
        _delete_=True,
        type='VisionTransformer',
        arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=32),
        img_size=48,
        patch_size=8,
        out_type='featmap',
    ),
    'neck': dict(_delete_=True, type='bas_mm.TokenNeck'),
}
METHODS = {
    'adl': {'neck.inserts': {'layer4.0': dict(type='bas_mm.ADL')}},
    'eil': {'head.type': 'bas_mm.EILHead'},
    'rcam': {'head.type': 'bas_mm.RCAMHead', 'head.percentile': 90},
    'clamped': {'head.clamp_weights': True},
    'cutmix': {
        'data_preprocessor.batch_augments': dict(
            augments=dict(type='CutMix', alpha=1.0), probs=1.0
        )
    },
    'ram': {'aux_losses': [dict(type='bas_mm.RAMLoss')]},
    'scg': {'refiner.type': 'bas_mm.SCGRefiner'},
    'flips': {'refiner': dict(type='bas_mm.FlipScaleRefiner', scales=[1.5])},
    'acol': {'head.type': 'bas_mm.ACoLHead'},
    'spg': {
        'neck.taps': ['layer2', 'layer3'],
        'head.type': 'bas_mm.SPGHead',
        'head.tap_channels': [8, 16],
    },
    'danet': {
        'neck.taps': ['layer2'],
        'head.type': 'bas_mm.DANetHead',
        'head.levels': [[0, 1, 1]],
        'head.level_channels': [8],
        'head.level_widths': [4],
    },
    'i2c': {'aux_losses': [dict(type='bas_mm.I2CLoss')]},
    'sat': {
        **VIT_TRUNK,
        'backbone.type': 'bas_mm.SATVisionTransformer',
        'backbone.gated_layers': 1,
        'neck.gates': True,
        'head.type': 'bas_mm.SATHead',
    },
    'tscam': {
        **VIT_TRUNK,
        'neck.attention': True,
        'head.type': 'bas_mm.TSCAMHead',
    },
    'lost': {
        **VIT_TRUNK,
        'neck.keys': -1,
        'head': dict(_delete_=True, type='bas_mm.LOSTHead', num_classes=3),
    },
    'tokencut': {
        **VIT_TRUNK,
        'neck.keys': -1,
        'head': dict(_delete_=True, type='bas_mm.TokenCutHead', num_classes=3),
    },
    'trilite': {
        **VIT_TRUNK,
        'neck.cls_token': True,
        'head.type': 'bas_mm.TriLiteHead',
    },
    'zoom': {'refiner': dict(type='bas_mm.ZoomRefiner', max_area=1.0)},
}


@pytest.mark.parametrize('method', METHODS)
def test_localizes(tmp_path, method):
    make_files(tmp_path)
    cfg = Config.fromfile(tmp_path / 'tiny.py')
    cfg.merge_from_dict({f'model.{k}': v for k, v in METHODS[method].items()})
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'method.pth')
    inferencer = WSOLInferencer(
        cfg, tmp_path / 'method.pth', device='cpu', show_progress=False
    )
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 60, 3)).astype(np.uint8) for _ in range(3)]
    kwargs = dict(batch_size=2, return_mask=True)
    results = inferencer(images, show_dir=tmp_path / 'out', **kwargs)
    for result in results:
        x0, y0, x1, y1 = result['bbox']
        assert 0 <= x0 < x1 <= 60 and 0 <= y0 < y1 <= 40
        assert result['loc_map'].shape == result['mask'].shape == (40, 60)
        assert 0 <= result['loc_map'].min() and result['loc_map'].max() <= 1
    assert len(list((tmp_path / 'out').iterdir())) == 3
    alone = inferencer(images[:1], **kwargs)[0]
    np.testing.assert_allclose(alone['loc_map'], results[0]['loc_map'], atol=1e-4)
    asked = inferencer(images[:1], classes=[0, 2])[0]['asked']
    assert [one['label'] for one in asked] == [0, 2]


def test_zoom_looks_at_the_pixels_of_the_image(tmp_path, monkeypatch):
    """What is lost in the view, fine stripes, is there when it looks again."""
    make_files(tmp_path)
    cfg = Config.fromfile(tmp_path / 'tiny.py')
    cfg.model.refiner = dict(type='bas_mm.ZoomRefiner', max_area=1.0)
    weights = tmp_path / 'tiny.pth'
    seen = []
    refine = ZoomRefiner.refine

    def note(self, maps, acts, inputs, classes, detail=None):
        seen.append(detail)
        return refine(self, maps, acts, inputs, classes, detail)

    monkeypatch.setattr(ZoomRefiner, 'refine', note)
    image = np.zeros((400, 600, 3), np.uint8)
    image[:, ::2] = 255
    for keep in (False, True):
        cfg.test_dataloader.dataset.pipeline[0] = dict(
            type='bas_mm.LoadImageFromFile', keep_detail=keep
        )
        inferencer = WSOLInferencer(cfg, weights, device='cpu', show_progress=False)
        inferencer([image])
        inferencer([image], classes=[0, 1])
        found, *asked = seen
        seen.clear()
        assert len(asked) == 2
        for detail in (found, *asked):
            if keep:
                (one,) = detail
                assert one.shape == (3, 400, 600) and one.unique().tolist() == [0, 255]
            else:
                assert detail is None
