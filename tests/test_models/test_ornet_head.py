import pytest
import torch
from mmpretrain.models import ImageClassifier
from torch import nn

from bas_mm.models import (
    ORNetHead,
    ORNetRefineHead,
    TwoNetworks,
    WSOLClassifier,
    ornet_losses,
)
from bas_mm.models.heads import ornet_head
from bas_mm.models.heads.ornet_head import UNetGenerator
from tests.helpers.models import TRUNKS, build_model, make_samples

STEM = dict(start='layer1')
SMALL = dict(map_channels=4, width=2)


def first_stage():
    model = dict(type='bas_mm.WSOLClassifier')
    return build_model('ORNet', 'tiny', neck=STEM, model=model, num_convs=0, **SMALL)


def refiner(**head):
    torch.manual_seed(0)
    return WSOLClassifier(
        dict(TRUNKS['tiny'][0], frozen_stages=4),
        dict(type='bas_mm.SplitNeck', end='layer1'),
        dict(type='bas_mm.ORNetRefineHead', num_classes=5, **SMALL, **head),
    )


def judge():
    return ImageClassifier(
        dict(TRUNKS['tiny'][0]),
        dict(type='GlobalAveragePooling'),
        dict(type='LinearClsHead', num_classes=5, in_channels=32),
    )


@pytest.mark.parametrize('size', [(8, 8), (9, 6), (1, 3), (56, 57)])
def test_the_generator_takes_any_size(size):
    torch.manual_seed(0)
    generator = UNetGenerator(4, 7, width=2).train()
    attention, maps = generator(torch.randn(2, 4, *size))
    assert attention.shape == (2, 1, *size) and maps.shape == (2, 7, *size)
    assert attention.dtype == torch.float32
    assert 0 < attention.min() and attention.max() < 1
    # what BatchNorm gives is around 0
    logits = attention.logit()
    assert logits.mean().abs() < 1e-4 and abs(logits.var(correction=0) - 1) < 0.01


def test_the_channels_of_the_authors():
    generator = UNetGenerator(64, 200)
    shapes = [
        m.weight.shape[:2] for m in generator.modules() if isinstance(m, nn.Conv2d)
    ]
    assert [tuple(shape) for shape in shapes] == [
        (128, 64), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512),
        (256, 768), (256, 256), (192, 384), (192, 192), (200, 256), (200, 200),
        (1, 200),
    ]  # fmt: skip
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 13 and {m.momentum for m in norms} == {0.01}


def test_every_level_reaches_the_attention():
    generator = UNetGenerator(4, 3, width=2).eval()
    x = torch.randn(1, 4, 16, 16)
    whole = generator(x)[0]
    for part in (*generator.downs, *generator.ups):
        with torch.no_grad():
            before = part[1].conv.weight.clone()
            part[1].conv.weight.neg_()
        assert not torch.allclose(generator(x)[0], whole)
        with torch.no_grad():
            part[1].conv.weight.copy_(before)


def test_the_losses_of_the_first_stage():
    """The trunk sees the stem's features as they are, and multiplied."""
    model = first_stage().train()
    views, target = torch.rand(4, 3, 64, 64), torch.tensor([0, 3, 1, 4])
    again = first_stage().train()
    losses = model.loss(views, make_samples(*target.tolist()))
    with torch.no_grad():
        stem, last = again.neck(views)
        attention, maps = again.head.generator(stem)
        loss = nn.functional.cross_entropy
        plain = again.head.classifier(last).mean((2, 3))
        masked = again.head.classifier(again.neck.f2(stem * attention)).mean((2, 3))
        weight = again.head.classifier_of_maps.weight[:, :, 0, 0]
        of_maps = maps.mean((2, 3)) @ weight.T + again.head.classifier_of_maps.bias
    torch.testing.assert_close(losses['loss_cls'], loss(plain, target))
    torch.testing.assert_close(losses['loss_masked'], loss(masked, target))
    torch.testing.assert_close(losses['loss_map'], loss(of_maps, target))
    hits = (masked.argmax(1) == target).float().mean()
    torch.testing.assert_close(losses['acc_masked'], 100 * hits)
    torch.testing.assert_close(losses['map_area'], attention.mean())
    # the U-Net ran once: its statistics are those of one batch
    counts = [v for k, v in model.head.state_dict().items() if 'num_batches' in k]
    assert counts and all(count == 1 for count in counts)


def test_all_of_the_first_stage_learns():
    """But for the attention's scale; also where the classifier alone is trained."""
    model = first_stage().train()
    for model.cls_only in (False, True):
        model.zero_grad()
        losses = model.loss(torch.rand(2, 3, 64, 64), make_samples(0, 1))
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        for name, param in model.named_parameters():
            scale = name.startswith('head.generator.attention.1')
            assert (param.grad is None) == scale, name
            if scale:
                continue
            idle = model.cls_only and name.startswith(
                ('head.generator', 'head.classifier_of')
            )
            assert not idle or not param.grad.any(), name


def test_the_masked_pass_alone_teaches_the_attention():
    model = first_stage().train()
    losses = model.loss(torch.rand(2, 3, 64, 64), make_samples(0, 1))
    conv = model.head.generator.attention[0]
    for name in ('loss_cls', 'loss_map'):
        (grad,) = torch.autograd.grad(
            losses[name], conv.weight, retain_graph=True, allow_unused=True
        )
        assert grad is None, name
    assert torch.autograd.grad(losses['loss_masked'], conv.weight)[0].any()


@pytest.mark.parametrize('make', [first_stage, refiner])
def test_the_map_is_the_attention_for_every_class(make):
    model = make().eval()
    with torch.no_grad():
        acts = model.head(model.neck(torch.rand(2, 3, 64, 64)))
        maps = model.head.class_maps(acts, torch.tensor([[4, 0, 1], [2, 3, 3]]))
        attention = model.head.generator(acts.feats[-2])[0]
    assert maps.shape == (2, 3, 16, 16) and maps.dtype == torch.float32
    for k in range(3):
        torch.testing.assert_close(maps[:, k], attention[:, 0])


def test_the_losses_of_the_second_stage(monkeypatch):
    """Of what the classifier says of the view times the erased attention."""
    monkeypatch.setattr(ornet_head, 'attentive_erasing', lambda a: a * a)
    model = refiner(loss=dict(type='bas_mm.ORNetLoss', area_weight=0.3)).train()
    seen, target = [], torch.tensor([0, 2])
    logits = torch.tensor([[5.0, 1, 0, -1, 3], [5.0, 4, 3, 2, 1]])

    def answer(mask):
        seen.append(mask)
        return logits

    losses = model.loss(torch.rand(2, 3, 64, 64), make_samples(0, 2), answer)
    with torch.no_grad():
        again = refiner().train()
        attention, maps = again.head.generator(
            again.neck(torch.zeros(2, 3, 64, 64))[-1]
        )
    assert attention.shape == (2, 1, 16, 16)
    (mask,) = seen
    assert mask.shape == (2, 1, 64, 64)  # the nearest cell: blocks of 4x4, all alike
    blocks = mask.view(2, 16, 4, 16, 4)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    a = blocks[:, None, :, 0, :, 0].sqrt()
    torch.testing.assert_close(losses['map_area'], a.mean())
    torch.testing.assert_close(
        losses['loss_object'], nn.functional.cross_entropy(logits, target)
    )
    assert losses['acc_object'] == 50
    wanted = ornet_losses(a, logits, maps)['entropy']
    torch.testing.assert_close(losses['loss_entropy'], 1.5 * wanted)


def test_of_the_second_stage_the_last_ways_up_learn():
    model = TwoNetworks(refiner(), judge(), learn='localizer').train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = model(255 * torch.rand(2, 3, 64, 64), make_samples(0, 1), mode='loss')
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert {k for k in losses if 'loss' in k} == {
        'loss_object', 'loss_entropy', 'loss_area',
    }  # fmt: skip
    learns = tuple(
        f'localizer.head.generator.{name}' for name in ('ups.1', 'ups.2', 'attention')
    )
    for name, param in model.named_parameters():
        assert param.requires_grad == name.startswith(learns), name
        assert (param.grad is not None) == param.requires_grad, name
    # nothing else moves, nor do the statistics of what does not learn
    for name, value in model.state_dict().items():
        moved = not torch.equal(before[name], value)
        assert moved == ('running' in name and name.startswith(learns)) or (
            'num_batches' in name
        ), name


def test_the_second_stage_begins_with_the_first(tmp_path):
    first = first_stage()
    path = str(tmp_path / 'first.pth')
    torch.save(dict(state_dict=first.state_dict()), path)
    model = refiner(init_cfg=None)
    model.init_cfg = dict(type='Pretrained', checkpoint=path)
    model.init_weights()
    views = torch.rand(2, 3, 64, 64)
    classes = torch.zeros(2, 1, dtype=torch.long)
    with torch.no_grad():
        maps = [one.eval().plain_maps(views, classes) for one in (first, model)]
    torch.testing.assert_close(*maps)


@pytest.mark.parametrize(
    'lose', [lambda s: s.pop('head.generator.ups.0.0.conv.weight'), None]
)
def test_weights_without_the_unet_are_refused(lose):
    """None of it, or of another width."""
    state = first_stage().state_dict()
    if lose:
        lose(state)
    else:
        name = 'head.generator.downs.2.1.conv.weight'
        state[name] = torch.zeros(8, 8, 3, 3)
    with pytest.raises(ValueError, match='fits for 1 of the U-Net.*ORNetHead.*`width`'):
        refiner().load_state_dict(state, strict=False)


def test_alone_it_says_what_is_missing():
    with pytest.raises(ValueError, match='ORNetRefineHead learns from .*TwoNetworks'):
        refiner().loss(torch.rand(2, 3, 64, 64), make_samples(0, 1))


def test_it_must_know_the_classes_of_the_classifier():
    other = ORNetRefineHead(4, **SMALL)
    localizer = refiner()
    localizer.head = other
    with pytest.raises(ValueError, match='knows 5 classes and the localizer 4'):
        TwoNetworks(localizer, judge(), learn='localizer')


def test_its_maps_have_no_class_weights():
    with pytest.raises(ValueError, match=r'ORNetHead .*leave out .*clamp_weights'):
        ORNetHead(3, 8, **SMALL, clamp_weights=True)
