import math

import numpy as np
import pytest
import torch
from mmpretrain.models import ImageClassifier
from torch import nn

from bas_mm.localization import map_to_bbox
from bas_mm.models import GCNetHead, TwoNetworks, WSOLClassifier, ellipse_mask
from bas_mm.models.heads.gcnet_head import EllipseActs
from tests.helpers.models import TRUNKS, make_samples

ELLIPSES = [
    [0.5, 0.4, 0.5, 0.3, 0.5],
    [0.45, 0.55, 0.6, 0.25, 0.7],
    [0.5, 0.5, 0.7, 0.2, 0.25],
    [0.9, 0.1, 0.5, 0.4, 0.5],
]


class Answers:
    """A classifier that answers by the mean of the mask."""

    inputs = torch.zeros(2, 3, 16, 16)

    def judge(self, mask):
        assert mask.shape == (2, 1, 16, 16)
        share = mask.mean((1, 2, 3))
        return torch.stack([share, -share, 0 * share], 1)


def acts_of(head, ellipse):
    params = torch.tensor(ellipse)
    feats = (torch.zeros(len(params), 4, 2, 2),)
    with torch.no_grad():
        drawn = head(feats)
    mask = ellipse_mask(params, (head.map_size,) * 2, head.sharpness)
    return EllipseActs(feats, drawn.logits, None, mask.detach(), params)


def test_the_box_is_that_of_the_drawn_ellipse():
    """Turned ones, and one that the view cuts off."""
    head = GCNetHead(in_channels=4, map_size=201, sharpness=200.0)
    acts = acts_of(head, ELLIPSES)
    maps = head.class_maps(acts, torch.zeros(4, 1, dtype=torch.long))[:, 0]
    boxes = head.boxes(acts, maps, (201, 201), 0.5)
    assert boxes[0].tolist() == pytest.approx(
        [201 * v for v in (0.25, 0.25, 0.75, 0.55)], abs=1e-3
    )
    for box, one in zip(boxes, maps):
        seen = map_to_bbox(one.detach(), (201, 201), 0.5)
        np.testing.assert_allclose(seen, box, atol=2.0)


def test_the_losses_by_hand():
    head = GCNetHead(in_channels=4, map_size=8, area_weight=2.0)
    acts = acts_of(head, ELLIPSES[:2])
    losses = head.loss(acts, torch.tensor([0, 2]), Answers())
    mask = nn.functional.interpolate(
        acts.foreground[:, None], (16, 16), mode='bilinear', align_corners=True
    )
    p = Answers().judge(mask).softmax(1)
    expected = -(p[0, 0].log() + p[1, 2].log()) / 2
    torch.testing.assert_close(losses['loss_object'], expected)
    p = Answers().judge(1 - mask).softmax(1)
    expected = (p * (p * 3).log()).sum(1).mean()  # divergence from uniform
    torch.testing.assert_close(losses['loss_rest'], expected)
    area = 2.0 * (0.5 * 0.3 + 0.6 * 0.25) / 2
    assert losses['loss_size'].item() == pytest.approx(area)
    assert losses['acc_object'].item() == 50


def test_a_rest_that_says_nothing_costs_nothing():
    class Uniform(Answers):
        def judge(self, mask):
            return torch.zeros(2, 7)

    head = GCNetHead(in_channels=4, map_size=8)
    losses = head.loss(acts_of(head, ELLIPSES[:2]), torch.tensor([0, 1]), Uniform())
    assert losses['loss_rest'].item() == pytest.approx(0, abs=1e-6)
    assert losses['loss_object'].item() == pytest.approx(math.log(7))


def test_in_two_networks_the_localizer_alone_learns():
    torch.manual_seed(0)
    localizer = WSOLClassifier(
        dict(TRUNKS['tiny'][0]),
        dict(type='bas_mm.SplitNeck', start='layer4'),
        dict(type='bas_mm.GCNetHead', in_channels=32, map_size=16),
    )
    classifier = ImageClassifier(
        dict(TRUNKS['tiny'][0]),
        dict(type='GlobalAveragePooling'),
        dict(type='LinearClsHead', num_classes=5, in_channels=32),
    )
    model = TwoNetworks(localizer, classifier, learn='localizer').train()
    losses = model(255 * torch.rand(2, 3, 64, 64), make_samples(0, 1), mode='loss')
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert {k for k in losses if 'loss' in k} == {
        'loss_object', 'loss_rest', 'loss_size',
    }  # fmt: skip
    for name, param in model.named_parameters():
        assert (param.grad is not None) == name.startswith('localizer'), name
    with pytest.raises(ValueError, match='GCNetHead learns from .*TwoNetworks'):
        localizer.loss(torch.rand(2, 3, 64, 64), make_samples(0, 1))
