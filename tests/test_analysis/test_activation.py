"""Activation and cross-entropy of masked features."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

from bas_mm.analysis import activation
from bas_mm.analysis.loaders import build_loader
from bas_mm.models import CAMClassifier, TwoNetworks
from tests.helpers.tiny import build, write_config


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('study'))


def test_sweep_masks():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:26, 20:44] = 1
    masks = activation.sweep_masks(mask, kernel=3, steps=4)
    area = masks.sum((1, 2))
    assert (np.diff(masks.astype(int), axis=0) >= 0).all()
    # a rectangle loses, or gains, k - 1 pixels a side for a kernel of k
    expected = [(16 + d) * (24 + d) for d in (-11, -8, -5, -2, 0, 2, 5, 8, 11)]
    assert area.tolist() == [0, *expected, 40 * 60]
    assert (masks[5] == mask).all()


def test_sweep_of_a_dot_and_of_everything():
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 1
    assert activation.sweep_masks(dot, 5, 3).sum((1, 2)).tolist() == [0, 1, 25, 81]
    # the border of the view does not erode
    assert activation.sweep_masks(np.ones((9, 9), np.uint8), 5, 3).sum() == 81


def test_ground_truth():
    sample = DataSample()
    assert activation.ground_truth(sample, (8, 10)) is None
    sample.gt_bboxes = torch.tensor([[1.0, 2, 4, 6], [-3, 0, 2, 1], [5, 5, 5, 9]])
    mask = activation.ground_truth(sample, (8, 10))
    assert mask.sum() == 3 * 4 + 2 and mask[2:6, 1:4].all()
    sample.gt_seg_map = torch.zeros(8, 10, dtype=torch.uint8)
    assert activation.ground_truth(sample, (8, 10)) is None  # the mask wins
    sample.gt_seg_map[1, 1], sample.gt_seg_map[0] = 1, 255
    assert activation.ground_truth(sample, (8, 10)).sum() == 1


def rectangle(size=64):
    mask = np.zeros((size, size), np.uint8)
    mask[16:40, 8:48] = 1
    return mask


def shrink(mask, size):
    """By OpenCV instead of torch."""
    mask = cv2.resize(mask.astype(np.float32), size[::-1], None, 0, 0, cv2.INTER_AREA)
    return torch.from_numpy(mask)


def test_measure_equals_one_mask_at_a_time(config):
    _, model = build(config)
    images = torch.randn(2, 3, 64, 64)
    masks = activation.sweep_masks(rectangle(), 5, 3)
    with torch.no_grad():
        first = model.neck.run(images)
        got = activation.measure(
            model, first, torch.from_numpy(masks), torch.tensor(2), index=1
        )
        feat = model.neck.f1(images[1:])
        for i, m in enumerate(masks):
            small = shrink(m, feat.shape[2:])
            fg, bg = (
                model.head((model.neck.f2(feat * share),)).logits
                for share in (small, 1 - small)
            )
            expected = fg[0, 2], bg[0, 2], F.cross_entropy(fg, torch.tensor([2]))
            for key, value in zip(('fg', 'bg', 'ce'), expected):
                np.testing.assert_allclose(got[key][i], value, rtol=1e-4, atol=1e-5)
    assert got['fg'][0] == pytest.approx(got['bg'][-1], abs=1e-5)


def vit(**neck):
    torch.manual_seed(0)
    arch = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    backbone = dict(
        type='VisionTransformer',
        arch=arch,
        img_size=64,
        patch_size=16,
        out_type='featmap',
    )
    head = dict(type='bas_mm.CAMHead', num_classes=3, in_channels=16, num_convs=0)
    head.update(final_relu=False)
    neck = dict(type='bas_mm.SplitNeck', start='layers.2', **neck)
    return CAMClassifier(backbone, neck, head).eval()


@pytest.mark.parametrize('taps', [(), ('layers.0',)])
def test_transformers(taps):
    """The patches are masked, the class token goes on as it was."""
    init_default_scope('mmpretrain')
    model = vit(taps=taps)
    images = torch.randn(2, 3, 64, 64)
    masks = activation.sweep_masks(rectangle(), 5, 2)
    now = {}

    def mask_patches(module, args, tokens):
        patches = tokens[:, 1:] * now['share'].reshape(1, -1, 1)
        return torch.cat([tokens[:, :1], patches], 1)

    with torch.no_grad():
        first = model.neck.run(images)
        got = activation.measure(
            model, first, torch.from_numpy(masks), torch.tensor(1), index=1
        )
        handle = model.backbone.layers[1].register_forward_hook(mask_patches)
        try:
            for i, m in enumerate(masks):
                small = shrink(m, (4, 4))
                logits = []
                for now['share'] in (small, 1 - small):
                    (feat,) = model.backbone(images[1:])
                    logits.append(model.head((feat,)).logits)
                fg, bg = logits
                expected = fg[0, 1], bg[0, 1], F.cross_entropy(fg, torch.tensor([1]))
                for key, value in zip(('fg', 'bg', 'ce'), expected):
                    np.testing.assert_allclose(got[key][i], value, rtol=1e-4, atol=1e-5)
        finally:
            handle.remove()
    assert np.ptp(got['fg']) > 1e-3


def test_study_of_a_loader(config):
    cfg, model = build(config)
    loader = build_loader(cfg, 5)
    records = activation.study(model, loader, kernel=5, steps=2)
    paths = [loader.dataset.get_data_info(i)['img_path'] for i in range(5)]
    assert [record['image'] for record in records] == paths
    for record in records:
        n = len(record['area'])
        assert n > 2 and record['area'][0] == 0 and 1 in record['area']
        assert all(record[key].shape == (n,) for key in ('fg', 'bg', 'ce'))
        assert record['view'].shape == (64, 64, 3)
        whole = record['mask'].size / record['mask'].sum()
        assert record['area'][-1] == pytest.approx(whole)


def test_images_without_an_object(config):
    cfg, model = build(config)
    cfg.test_dataloader.dataset.pipeline[-1].algorithm_keys = ()
    records = activation.study(model, build_loader(cfg, 2), kernel=5, steps=2)
    assert [list(record) for record in records] == [['image'], ['image']]


def test_ten_crops_count_as_their_view(config):
    cfg, model = build(config)
    plain = activation.study(model, build_loader(cfg, 2), kernel=5, steps=2)
    cfg.test_dataloader.dataset.pipeline[3] = dict(type='bas_mm.TenCrop', crop_size=64)
    ten = activation.study(model, build_loader(cfg, 2), kernel=5, steps=2)
    for a, b in zip(plain, ten):
        np.testing.assert_array_equal(a['view'], b['view'])
        np.testing.assert_allclose(a['fg'], b['fg'], rtol=1e-4, atol=1e-5)


def test_two_networks_have_no_cut(config):
    cfg, model = build(config)
    both = TwoNetworks(model, build(config)[1])
    with pytest.raises(ValueError, match='TwoNetworks is none of WSOLClassifier'):
        activation.study(both, [], kernel=5, steps=2)


def test_average():
    records = [
        dict(
            area=np.array([0, 1, 4.0]),
            fg=np.array([0, 2, 2.0]),
            bg=np.array([3, 1, 1.0]),
            ce=np.array([1, 1, 1.0]),
        ),
        dict(
            area=np.array([0, 1, 2.0]),
            fg=np.array([0, 4, 6.0]),
            bg=np.array([5, 1, 0.0]),
            ce=np.array([3, 2, 1.0]),
        ),
    ]
    mean = activation.average(records, 5, 11)
    assert mean['area'][3] == 1.5
    assert mean['images'].tolist() == [2] * 5 + [1] * 4 + [0, 0]
    assert mean['fg'][[0, 1, 2, 3, 4, 5]].tolist() == [0, 1.5, 3, 3.5, 4, 2]
    assert np.isnan(mean['fg'][-2:]).all() and mean['bg'][2] == 1
    assert mean['fg_low'][2] == 2.5 and mean['fg_high'][2] == 3.5
    # 90 % of the way 0 -> 3; of 4 -> 1; the mean of CE goes 2 -> 1.5
    assert activation.area_of_most(mean['area'], mean['fg']) == 1
    assert activation.area_of_most(
        np.linspace(0, 2, 21), np.minimum(np.linspace(0, 4, 21), 2)
    ) == pytest.approx(0.9)
    assert np.isnan(activation.area_of_most(mean['area'], np.ones(11)))
