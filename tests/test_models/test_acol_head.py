import pytest
import torch
import torch.nn.functional as F

from bas_mm.localization import normalize_map
from bas_mm.models import ACoLHead
from tests.helpers.models import build_model, make_samples


def acol(num_classes=4, **kwargs):
    torch.manual_seed(0)
    options = dict(mid_channels=5, num_convs=1)
    return ACoLHead(num_classes, 3, **{**options, **kwargs}).double()


def features(images=2):
    torch.manual_seed(1)
    feat = torch.randn(images, 3, 6, 5, dtype=torch.double)
    return (torch.zeros(images, 2, 6, 5), feat)


def test_loss_by_loops():
    head, feats = acol(erase_threshold=0.6), features()
    target = torch.tensor([2, 0])
    losses = head.loss(head(feats), target, None)
    first, second = [], []
    for i, label in enumerate(target):
        own = head.classifier(feats[1][i : i + 1])[0]
        level = torch.from_numpy(normalize_map(own[label]))
        erased = feats[1][i].clone()
        for y in range(6):
            for x in range(5):
                if level[y, x] >= 0.6:
                    erased[:, y, x] = 0
        other = head.erased_head.classifier(erased[None])[0]
        first.append(own.mean((1, 2)))
        second.append(other.mean((1, 2)))
    for name, logits in (('loss_cls', first), ('loss_erased', second)):
        expected = F.cross_entropy(torch.stack(logits).float(), target)
        torch.testing.assert_close(losses[name], expected)


def test_nothing_and_everything_erased():
    feats, target = features(), torch.tensor([1, 3])
    for threshold, feat in ((1.1, feats[1]), (0.0, 0 * feats[1])):
        head = acol(erase_threshold=threshold)
        expected = head.erased_head.classifier(feat)
        assert torch.equal(head.erased_map(head(feats), target), expected)


def test_equal_weights_and_nothing_erased_give_twice_the_loss():
    head = acol(erase_threshold=1.1)
    head.erased_head.classifier.load_state_dict(head.classifier.state_dict())
    losses = head.loss(head(features()), torch.tensor([1, 3]), None)
    torch.testing.assert_close(losses['loss_cls'], losses['loss_erased'])


def test_mask_does_not_change_with_scale_and_offset_and_erases_the_peak():
    head, label = acol(erase_threshold=1.0), torch.tensor([1, 3])
    acts = head(features())
    keep = head.keep(acts, label)
    for i, one in enumerate(label):
        own = acts.logit_map[i, one]
        assert not keep[i, 0].flatten()[own.argmax()]
        assert keep[i].sum() == own.numel() - 1
    head.erase_threshold = 0.5
    keep = head.keep(acts, label)
    last = head.classifier[-1]
    with torch.no_grad():
        last.weight *= 3
        last.bias.mul_(3).add_(-7)
    assert torch.equal(head.keep(head(features()), label), keep)


def test_a_constant_map_erases_nothing():
    head = acol()
    with torch.no_grad():
        head.classifier[-1].weight.zero_()
    acts = head(features())
    label = torch.tensor([0, 0])
    assert head.keep(acts, label).all()
    maps = head.class_maps(acts, label[:, None])
    assert torch.isfinite(maps).all()
    assert torch.isfinite(head.loss(acts, label, None)['loss_erased'])


def test_maps_are_the_maximum_and_each_class_erases_for_itself():
    head = acol()
    acts = head(features())
    classes = torch.tensor([[3, 1], [0, 2]])
    maps = head.class_maps(acts, classes)
    for i in range(2):
        for k, one in enumerate(classes[i]):
            second = head.erased_map(acts, classes[:, k])[i, one]
            expected = torch.maximum(
                torch.from_numpy(normalize_map(acts.logit_map[i, one])),
                torch.from_numpy(normalize_map(second)),
            )
            torch.testing.assert_close(maps[i, k], expected.float())
    swapped = head.class_maps(acts, classes.flip(1))
    torch.testing.assert_close(swapped.flip(1), maps)


def test_gradient_passes_the_kept_places_alone():
    head, feats = acol(num_convs=0), features()
    feat = feats[1].requires_grad_()
    target = torch.tensor([1, 3])
    acts = head((feats[0], feat))
    keep = head.keep(acts, target)
    assert 0 < keep.float().mean() < 1
    grad = torch.autograd.grad(head.erased_map(acts, target).sum(), feat)[0]
    assert torch.equal((grad != 0).any(1, keepdim=True), keep)


def test_mean_over_the_features():
    head, feats = acol(feat_pool=3), features()
    acts = head(feats)
    expected = F.avg_pool2d(feats[1], 3, stride=1, padding=1)
    assert torch.equal(acts.feats[-1], expected)
    torch.testing.assert_close(acts.logit_map, head.classifier(expected))
    with pytest.raises(ValueError, match=r'model\.head\.feat_pool.*odd.*got 2'):
        acol(feat_pool=2)


def test_in_a_model():
    model = build_model('CAM', 'tiny', type='bas_mm.ACoLHead', topk=2)
    inputs, samples = torch.randn(2, 3, 64, 64), make_samples(0, 1)
    losses = model.train().loss(inputs, samples)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    model.cls_only = True  # every parameter is still in the graph
    model.loss(inputs, samples)['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not any(p.grad.any() for p in model.head.erased_head.parameters())
    (sample, _) = model.eval().predict(inputs, samples)
    assert 0 <= sample.pred_map.min() and sample.pred_map.max() <= 1
    mixed = [s.set_gt_score(torch.full((5,), 0.2)) for s in samples]
    with pytest.raises(ValueError, match='ACoLHead needs one label'):
        model.loss(inputs, mixed)
