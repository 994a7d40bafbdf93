import math

import pytest
import torch
from torch import nn

from bas_mm.models import RAMLoss, ram_loss
from bas_mm.structures import Acts
from tests.helpers.models import build_model, make_samples


def by_loops(maps, labels, bg_threshold, gap):
    """The definition, place by place."""
    total, (b, c, h, w) = 0.0, maps.shape
    for i in range(b):
        variances = {}
        for y in range(h):
            for x in range(w):
                powers = [math.exp(float(v)) for v in maps[i, :, y, x]]
                p = [v / sum(powers) for v in powers]
                variances[y, x] = sum((v - sum(p) / c) ** 2 for v in p) / (c - 1)
        low, high = min(variances.values()), max(variances.values())
        for (y, x), variance in variances.items():
            level = (variance - low) / (high - low)
            m = 1 / (1 + math.exp(-float(maps[i, labels[i], y, x])))
            if level < bg_threshold:
                total += m
            elif level > bg_threshold + gap:
                total += 1 - m
    return total / (b * h * w)


@pytest.mark.parametrize('bg_threshold, gap', [(0.1, 0.2), (0.4, 0.1), (0.0, 0.0)])
def test_by_loops(bg_threshold, gap):
    torch.manual_seed(0)
    maps, labels = 2 * torch.randn(3, 5, 4, 6).double(), torch.tensor([4, 0, 2])
    loss = ram_loss(maps, labels, bg_threshold, gap)
    expected = by_loops(maps, labels.tolist(), bg_threshold, gap)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_only_the_map_of_the_label_has_a_gradient():
    torch.manual_seed(0)
    maps = torch.randn(2, 4, 3, 3, requires_grad=True)
    ram_loss(maps, torch.tensor([1, 3]), 0.1, 0.2).backward()
    touched = maps.grad.abs().sum((2, 3)) > 0
    assert touched.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]


def test_a_map_without_contrast_is_background():
    maps = torch.full((2, 3, 4, 4), 5.0)
    loss = ram_loss(maps, torch.tensor([0, 1]), 0.1, 0.2)
    torch.testing.assert_close(loss, torch.tensor(5.0).sigmoid())
    assert ram_loss(maps.bfloat16(), torch.tensor([0, 1]), 0.1, 0.2).dtype == (
        torch.float32
    )


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
def test_beside_any_head(method):
    aux = dict(type='bas_mm.RAMLoss', weight=0.5, start_epoch=0)
    model = build_model(
        method, 'tiny', final_relu=False, model=dict(aux_losses=[aux])
    ).train()
    x = torch.randn(2, 3, 64, 64)
    losses = model.loss(x, make_samples(3, 1))
    acts = model.head(model.neck(x))
    expected = 0.5 * ram_loss(acts.logit_map, torch.tensor([3, 1]), 0.1, 0.2)
    torch.testing.assert_close(losses['loss_ram'], expected)
    sum(v for k, v in losses.items() if 'loss' in k).backward()


def test_it_begins_at_its_epoch():
    loss = RAMLoss(start_epoch=3)
    acts = Acts((), torch.zeros(1, 2), torch.randn(1, 2, 3, 3))
    assert loss(acts, torch.tensor([0]), 2) == {}
    assert set(loss(acts, torch.tensor([0]), 3)) == {'loss_ram'}


def test_what_it_cannot_do_is_refused():
    aux = dict(aux_losses=[dict(type='bas_mm.RAMLoss')])
    with pytest.raises(ValueError, match=r'RAMLoss.*model\.head\.final_relu=False'):
        build_model('CAM', 'tiny', model=aux)
    with pytest.raises(ValueError, match=r'RAMLoss.*2 or more.*num_classes.*got 1'):
        build_model('CAM', 'tiny', num_classes=1, final_relu=False, model=aux)
    acts = Acts((), torch.zeros(1, 2), torch.zeros(1, 2, 3, 3))
    with pytest.raises(ValueError, match='one label.*batch_augments.*aux_losses'):
        RAMLoss()(acts, torch.tensor([[0.5, 0.5]]), 0)
    with pytest.raises(ValueError, match=r'logit maps.*model\.aux_losses'):
        RAMLoss()(Acts((), torch.zeros(1, 2)), torch.tensor([0]), 0)


def test_it_has_no_weights():
    assert isinstance(RAMLoss(), nn.Module) and not RAMLoss().state_dict()
