import pytest
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample

from bas_mm.models import SegHead, SPOLHead

CHANNELS = (3, 4, 5)


def feats(n=4):
    torch.manual_seed(0)
    return tuple(
        torch.rand(n, c, s, s, requires_grad=True) for c, s in zip(CHANNELS, (8, 4, 2))
    )


def head(**options):
    torch.manual_seed(1)
    return SPOLHead(6, CHANNELS, mid_channels=7, dropout=0.0, **options)


def test_the_product_by_the_text():
    one, x = head(final_relu=False).eval(), feats()
    with torch.no_grad():
        parts = one.fusion
        z = 1
        for mean, level in zip(parts.means, x):
            pooled = F.adaptive_avg_pool2d(level, 1)
            z = z * F.relu(mean[1](mean[0](pooled)))
        product = 1
        for i, level in enumerate(x):
            gate = torch.sigmoid(
                F.conv2d(z, parts.gates[i].weight, parts.gates[i].bias)
            )
            u = F.relu(parts.reduce[i][1](parts.reduce[i][0](level * gate)))
            u = F.interpolate(u, (8, 8), mode='bilinear', align_corners=True)
            product = product * u
        deepest, ours = parts(x)
        torch.testing.assert_close(ours, product)
        torch.testing.assert_close(deepest, u)
        acts = one(x)
        expected = one.classifier(product)
        torch.testing.assert_close(acts.logit_map, expected)
        torch.testing.assert_close(acts.logits, expected.mean((2, 3)))
        maps = one.class_maps(acts, torch.tensor([[5, 0]] * 4))
        torch.testing.assert_close(maps, expected[:, [5, 0]])


def test_the_product_learns_from_the_deepest_level():
    one, x, target = head().train(), feats(), torch.tensor([0, 1, 2, 3])
    acts = one(x)
    losses = one.loss(acts, target, None)
    assert set(losses) == {'loss_cls', 'loss_distill', 'acc', 'silent'}
    assert 0 <= losses['silent'] <= 1
    soft = acts.deep_logits.softmax(1)
    expected = -(soft * acts.logits.log_softmax(1)).sum(1).mean() / 2
    torch.testing.assert_close(losses['loss_distill'], expected)
    expected = F.cross_entropy(acts.deep_logits, target) / 2
    torch.testing.assert_close(losses['loss_cls'], expected)
    # the deepest level is a constant for it
    (grad,) = torch.autograd.grad(
        losses['loss_distill'], acts.deep_logits, allow_unused=True
    )
    assert grad is None


def test_without_it_the_product_learns_the_labels():
    one, x, target = head(distill=False).train(), feats(), torch.tensor([0, 1, 2, 3])
    acts = one(x)
    losses = one.loss(acts, target, None)
    assert set(losses) == {'loss_cls', 'acc', 'silent'} and acts.deep_logits is None
    torch.testing.assert_close(losses['loss_cls'], F.cross_entropy(acts.logits, target))


def test_features_that_die_are_told():
    one = head().train()
    for conv in one.fusion.reduce[1:2]:
        torch.nn.init.constant_(conv[1].bias, -9.0)
    assert one.loss(one(feats()), torch.zeros(4).long(), None)['silent'] == 1


def test_masks_are_learned_where_they_are_known():
    torch.manual_seed(0)
    one, x = SegHead(CHANNELS, mid_channels=7), feats()
    acts = one(x)
    target = torch.randint(0, 2, (4, 16, 16), dtype=torch.uint8)
    target[:, 5:9] = 255
    samples = [DataSample(pseudo_mask=mask).set_gt_label(0) for mask in target]
    assert torch.equal(one.targets(samples), target)
    loss = one.loss(acts, target, None)['loss_mask']
    logits = F.interpolate(
        acts.foreground[:, None], (16, 16), mode='bilinear', align_corners=True
    )[:, 0]
    p = logits.sigmoid()
    each = -torch.where(target == 1, p.log(), (1 - p).log())
    torch.testing.assert_close(loss, each[target != 255].sum() / target.numel())
    maps = one.class_maps(acts, torch.zeros(4, 2, dtype=torch.long))
    torch.testing.assert_close(maps[:, 1], acts.foreground.sigmoid())


def test_without_a_mask_it_says_what_to_do():
    sample = DataSample(gt_seg_map=torch.ones(4, 4)).set_gt_label(0)
    with pytest.raises(ValueError, match='pseudo_mask.*bas-mm pseudo-masks'):
        SegHead(CHANNELS).targets([sample])
