import itertools

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger

from bas_mm.models import CAMHead, DANetHead, map_divergence
from bas_mm.models.heads.danet_head import check_levels
from tests.helpers.models import build_model, make_samples

LEVELS = [[0, 0, 1, 1, 1], [3, 3, 7, 5, 5]]


def test_divergence_by_loops():
    torch.manual_seed(0)
    maps = torch.randn(3, 4, 5, 6)
    each = []
    for one in maps:
        cosines = [
            F.cosine_similarity(a.flatten(), b.flatten(), dim=0)
            for a, b in itertools.combinations(one, 2)
        ]
        each.append(abs(sum(cosines)) / len(cosines))
    torch.testing.assert_close(map_divergence(maps), sum(each) / 3)
    torch.testing.assert_close(map_divergence(17 * maps), map_divergence(maps))


def test_divergence_of_what_is_known():
    torch.manual_seed(0)
    same = torch.rand(2, 1, 3, 3).expand(-1, 5, -1, -1)
    torch.testing.assert_close(map_divergence(same), torch.tensor(1.0))
    apart = torch.eye(9).view(1, 9, 3, 3)
    assert map_divergence(apart) == 0
    opposite = torch.stack([same[0, 0], -same[0, 0]])[None]
    torch.testing.assert_close(map_divergence(opposite), torch.tensor(1.0))
    for nothing in (torch.zeros(2, 4, 3, 3), torch.rand(2, 1, 3, 3)):
        nothing.requires_grad_()
        value = map_divergence(nothing)
        torch.testing.assert_close(value, torch.tensor(0.0))
        value.backward()
        assert torch.isfinite(nothing.grad).all()


def test_a_map_of_nothing_gets_no_huge_gradient():
    torch.manual_seed(0)
    maps = torch.rand(1, 4, 5, 5)
    for scale in (0, 1e-8):
        some = maps * torch.tensor([scale, 1, 1, 1]).view(1, 4, 1, 1)
        some.requires_grad_()
        map_divergence(some).backward()
        assert some.grad.abs().max() < 1e4


def danet(trunk='tiny', **kwargs):
    options = dict(
        type='bas_mm.DANetHead',
        maps_per_class=3,
        levels=LEVELS,
        level_channels=(8, 16),
        level_widths=(4, 6),
    )
    neck = dict(taps=['layer2', 'layer3'])
    return build_model('CAM', trunk, neck=neck, **{**options, **kwargs})


def test_one_map_and_no_levels_is_cam():
    torch.manual_seed(0)
    cam = CAMHead(5, 3, mid_channels=4, final_relu=False)
    head = DANetHead(5, 3, mid_channels=4, maps_per_class=1)
    head.load_state_dict(cam.state_dict())
    feats = (torch.randn(2, 3, 4, 4),) * 2
    target = torch.tensor([1, 4])
    ours, theirs = head(feats), cam(feats)
    torch.testing.assert_close(ours.logits, theirs.logits)
    torch.testing.assert_close(ours.logit_map, theirs.logit_map)
    losses = head.loss(ours, target, None)
    assert set(losses) == {'loss_cls', 'loss_divergence', 'acc'}
    torch.testing.assert_close(
        losses['loss_cls'], cam.loss(theirs, target, None)['loss_cls']
    )
    torch.testing.assert_close(losses['loss_divergence'].item(), 0.0)
    maps = head.class_maps(ours, target[:, None])
    torch.testing.assert_close(maps, cam.class_maps(theirs, target[:, None]).relu())


def test_losses_and_maps_of_the_levels_by_loops():
    model = danet(divergence_weight=2.0, share=1.0).eval()
    head = model.head
    feats = model.neck(torch.randn(2, 3, 64, 64))
    acts, target = head(feats), torch.tensor([1, 3])
    losses = head.loss(acts, target, None)
    # groups renumbered: 3, 7, 5 are 0, 2, 1 of the second level
    nets = [*(x.classifier for x in head.levels.values()), head.classifier]
    labels = [[0, 1], [0, 1], [1, 3]]
    names = ['loss_level0', 'loss_level1', 'loss_cls']
    size = feats[0].shape[2:]
    maps, divergence = torch.zeros(2, *size), []
    own = [[], []]
    for net, feat, label, name in zip(nets, (*feats[:2], feats[-1]), labels, names):
        out = net(feat)  # channel = group * 3 + k
        groups = out.shape[1] // 3
        logits = torch.stack(
            [out[:, 3 * g : 3 * g + 3].mean((1, 2, 3)) for g in range(groups)], 1
        )
        expected = 0.5 * F.cross_entropy(logits, torch.tensor(label))
        torch.testing.assert_close(losses[name], expected)
        for i, group in enumerate(label):
            three = out[i : i + 1, 3 * group : 3 * group + 3]
            own[i].append(F.interpolate(three, size, mode='bilinear')[0])
            maps[i] += own[i][-1].relu().mean(0)
    divergence = [map_divergence(torch.cat(x)[None]) for x in own]
    torch.testing.assert_close(losses['loss_divergence'], 2 * sum(divergence) / 2)
    torch.testing.assert_close(head.class_maps(acts, target[:, None])[:, 0], maps)


def test_a_random_subset_has_to_differ(monkeypatch):
    head = DANetHead(2, 3, num_convs=0, maps_per_class=8)
    seen = []
    monkeypatch.setattr(
        'bas_mm.models.heads.danet_head.map_divergence',
        lambda maps: seen.append(maps) or maps.sum(),
    )
    acts = head((torch.randn(2, 3, 4, 4),) * 2)
    for _ in range(8):
        head.loss(acts, torch.tensor([0, 1]), None)
    assert all(x.shape == (2, 4, 4, 4) for x in seen)  # half of 8
    assert len({tuple(x.flatten().tolist()) for x in seen}) > 1


def test_in_a_model():
    model = danet()
    inputs, samples = torch.randn(2, 3, 64, 64), make_samples(0, 4)
    losses = model.train().loss(inputs, samples)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.cls_only = True
    assert 'loss_divergence' not in model.loss(inputs, samples)
    sample, _ = model.eval().predict(
        inputs, samples, crops=torch.randn(2, 2, 3, 64, 64)
    )
    assert sample.pred_map.shape == (8, 8) and sample.pred_map.min() >= 0
    maps = model.class_maps(inputs, torch.tensor([0, 4]))
    assert maps.shape == (2, 2, 8, 8)
    assert not any('ancestors' in key for key in model.state_dict())


def test_levels_are_a_tree():
    with pytest.raises(ValueError, match='group 1 of level 1 lies in two.*class 2'):
        check_levels([[0, 0, 1], [0, 1, 1]], 3)
    with pytest.raises(ValueError, match=r'levels\[0\].*2 classes.*are 3'):
        check_levels([[0, 1]], 3)


def test_first_classes_of_a_longer_tree(monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: said.append(text))
    assert check_levels([[1, 1, 0, 0], [4, 2, 0, 0]], 2) == [[0, 0], [1, 0]]
    assert len(said) == 2 and 'tells of 4 classes, the model has 2' in said[0]


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match='2 `model.head.levels`, 0 `level_channels`'):
        DANetHead(5, 3, levels=LEVELS)
    model = danet()
    with pytest.raises(ValueError, match=r'2 levels and the neck 0 taps.*neck\.taps'):
        model.head((torch.zeros(1, 16, 2, 2), torch.zeros(1, 32, 2, 2)))
