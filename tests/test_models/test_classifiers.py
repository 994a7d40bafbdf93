import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from torch import nn

from bas_mm.models import WSOLDataPreprocessor

from .conftest import TRUNKS


def copied_losses(model, x, labels, mask='feature'):
    """BAS written out with a deep copy of f2, as the formulas stand."""
    loss = model.head.loss_module
    network = nn.Sequential(model.neck.f2, model.head.classifier)
    frozen = copy.deepcopy(network).requires_grad_(False)
    if mask == 'image':
        f1 = copy.deepcopy(model.neck.f1).requires_grad_(False)
    b = torch.arange(len(x))
    feat = model.neck.f1(x)
    logit_map = network(feat)
    maps = torch.sigmoid(model.head.generator(feat))
    fg = maps[b, labels][:, None]
    s = logit_map.mean((2, 3))[b, labels].detach()
    if mask == 'image':
        up = F.interpolate(1 - fg, x.shape[2:], mode='bilinear')
        masked = f1(x * up)
    else:
        masked = feat.detach() * (1 - fg)
    s_bg = frozen(masked).mean((2, 3))[b, labels]
    frg = (F.avg_pool2d(fg, fg.shape[-1] // logit_map.shape[-1]) * logit_map).mean(
        (2, 3)
    )
    return dict(
        loss_cls=F.cross_entropy(logit_map.mean((2, 3)), labels),
        loss_frg=loss.alpha * F.cross_entropy(frg, labels),
        loss_ac=loss.beta * fg.mean(),
        loss_bas=loss.lambda_ * (s_bg / (s + 1e-8)).clamp(max=1).mean(),
    )


@pytest.mark.parametrize('mask', ['feature', 'image'])
@pytest.mark.parametrize('trunk', TRUNKS)
def test_bas_equals_the_formulas_with_a_copied_f2(build, samples, trunk, mask):
    if mask == 'image' and trunk not in ('mobilenet-v1', 'vgg16'):
        pytest.skip('one trunk with and one without BatchNorm is enough')
    model = build(
        trunk=trunk,
        loss=dict(type='bas_mm.AMCLoss', alpha=0.5, beta=1.5, lambda_=2.0, mask=mask),
    )
    model.train()
    model.double()  # BatchNorm of three pictures blows rounding up
    torch.manual_seed(1)
    x, labels = torch.randn(3, 3, 64, 64).double(), torch.tensor([1, 4, 0])
    twin = copy.deepcopy(model)
    twin.neck.bind(twin.backbone)

    losses = model.loss(x, samples(1, 4, 0))
    sum(losses.values()).backward()
    expected = copied_losses(twin, x, labels, mask)
    sum(expected.values()).backward()

    assert list(losses) == list(expected)
    for name in losses:
        torch.testing.assert_close(
            losses[name], expected[name], check_dtype=False, rtol=1e-5, atol=1e-6
        )
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters()):
        error = (ours.grad - theirs.grad).norm() / theirs.grad.norm()
        assert error < 1e-3 or theirs.grad.norm() < 1e-6, (name, error)
    # one pass through the trunk moved the statistics, the frozen one did not
    for (name, ours), theirs in zip(model.named_buffers(), twin.buffers()):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_frozen_pass_gives_no_gradient_to_f2_and_head(build, samples):
    model = build(loss=dict(type='bas_mm.AMCLoss', alpha=0, beta=0)).train()
    losses = model.loss(torch.randn(2, 3, 64, 64), samples(0, 1))
    params = dict(model.named_parameters())
    grads = dict(
        zip(
            params,
            torch.autograd.grad(
                losses['loss_bas'], list(params.values()), allow_unused=True
            ),
        )
    )
    f2 = {id(p) for p in model.neck.f2.parameters()}
    f2 |= {id(p) for p in model.head.classifier.parameters()}
    assert all((grads[n] is None) == (id(p) in f2) for n, p in params.items())
    assert grads['head.generator.weight'].abs().sum() > 0


@pytest.mark.parametrize(
    'kwargs',
    [dict(), dict(loss=dict(type='bas_mm.AMCLoss', alpha=0, beta=0, lambda_=0))],
)
def test_warm_up_and_all_weights_0_are_cross_entropy(build, samples, kwargs):
    model = build(**kwargs).train()
    model.cls_only = not kwargs
    x = torch.randn(2, 3, 64, 64)
    losses = model.loss(x, samples(3, 3))
    assert set(losses) == {'loss_cls', 'loss_frg', 'loss_ac', 'loss_bas'}
    assert losses['loss_frg'] == losses['loss_ac'] == losses['loss_bas'] == 0
    sum(losses.values()).backward()
    # DistributedDataParallel needs every parameter in the graph
    assert all(p.grad is not None for p in model.parameters())
    assert model.head.generator.weight.grad.abs().sum() == 0


def test_figures_for_the_log(build, samples):
    model = build().train()
    losses = model(torch.randn(2, 3, 64, 64), samples(3, 1), mode='loss')
    assert set(losses) == {'loss_cls', 'loss_frg', 'loss_ac', 'loss_bas'}
    stats = MessageHub.get_current_instance().get_info('wsol_stats')
    assert set(stats) == {'acc', 'fg_area', 'bg_ratio', 'loss_cls', 'peak_logit'}
    assert not any(value.requires_grad for value in stats.values())


def test_cam_is_the_same_network_without_generator(build, samples):
    bas, cam = build().train(), build('CAM').train()
    state = {k: v for k, v in bas.state_dict().items() if 'generator' not in k}
    assert state.keys() == cam.state_dict().keys()
    cam.load_state_dict(state)
    x = torch.randn(2, 3, 64, 64)
    losses = cam.loss(x, samples(0, 2))
    assert set(losses) == {'loss_cls'}
    torch.testing.assert_close(
        losses['loss_cls'], bas.loss(x, samples(0, 2))['loss_cls']
    )


@pytest.mark.parametrize('method', ['BAS', 'CAM'])
def test_predict(build, samples, method):
    model = build(method, 'vgg16', topk=2, threshold=0.3).eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        out = model(x, samples(0, 1), mode='predict')
        logits = model(x)
        feat, trunk = model.neck(x)
        every = model.head.class_maps(
            feat, model.head.classifier(trunk), torch.arange(5).expand(2, 5)
        )
    for i, sample in enumerate(out):
        score = logits[i].softmax(0)
        torch.testing.assert_close(sample.pred_score, score)
        assert sample.pred_label.tolist() == [int(score.argmax())]
        assert sample.pred_map.shape == every.shape[2:]
        torch.testing.assert_close(
            sample.pred_map, every[i, score.topk(2).indices].mean(0)
        )
        x0, y0, x1, y1 = sample.pred_bbox.tolist()
        assert 0 <= x0 < x1 <= 96 and 0 <= y0 < y1 <= 64


def test_map_label(build, samples):
    maps = {}
    for map_label in ('gt', 'pred'):
        model = build(trunk='vgg16', map_label=map_label).eval()
        x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            label = int(model(x).argmax())
            for gt in (label, (label + 1) % 5):
                maps[map_label, gt == label] = model.predict(x, samples(gt))[0].pred_map
            if map_label == 'pred':
                torch.testing.assert_close(
                    model.predict(x)[0].pred_map, maps['pred', True]
                )
            else:
                with pytest.raises(ValueError, match="map_label='pred'"):
                    model.predict(x)
    torch.testing.assert_close(maps['gt', True], maps['pred', True])
    torch.testing.assert_close(maps['pred', False], maps['pred', True])
    assert not torch.equal(maps['gt', False], maps['gt', True])


def test_other_crops_count_for_the_scores_alone(build, samples):
    model = build(trunk='vgg16', topk=2).eval()
    x, crops = torch.randn(2, 3, 64, 64), torch.randn(2, 4, 3, 64, 64)
    with torch.no_grad():
        out = model(x, samples(0, 1), mode='predict', crops=crops)
        alone = model(x, samples(0, 1), mode='predict')
        scores = torch.stack([model(c).softmax(1) for c in (x, *crops.unbind(1))]).mean(
            0
        )
    for a, b, score in zip(out, alone, scores):
        torch.testing.assert_close(a.pred_score, score)
        assert a.pred_label == score.argmax()
        torch.testing.assert_close(a.pred_map, b.pred_map)
        torch.testing.assert_close(a.pred_bbox, b.pred_bbox)


def test_boxes_on_the_samples_change_nothing(build, samples):
    model = build().train()
    x = torch.randn(2, 3, 64, 64)
    state = copy.deepcopy(model.state_dict())
    plain = model.loss(x, samples(0, 1))
    model.load_state_dict(state)
    boxed = samples(0, 1)
    for sample in boxed:
        sample.gt_bboxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    for name, value in model.loss(x, boxed).items():
        assert torch.equal(value, plain[name])


def test_preprocessor_treats_crops_as_it_treats_views():
    preprocessor = WSOLDataPreprocessor(
        mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True
    )
    view = torch.randint(0, 255, (2, 3, 8, 8), dtype=torch.uint8)
    crops = torch.stack([view, view + 1, view], 1)
    out = preprocessor(dict(inputs=list(view), crops=list(crops)))
    mean, std = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None, None]
    torch.testing.assert_close(out['inputs'], (view.flip(1).float() - mean) / std)
    assert out['crops'].shape == (2, 3, 3, 8, 8)
    torch.testing.assert_close(out['crops'][:, 0], out['inputs'])
    torch.testing.assert_close(out['crops'][:, 1], out['inputs'] + (1 / std))
    collated = preprocessor(dict(inputs=view, crops=crops))
    assert torch.equal(collated['crops'], out['crops'])
    assert 'crops' not in preprocessor(dict(inputs=list(view)))


def test_channels_last_gives_the_same_numbers():
    data = dict(inputs=[torch.randint(0, 255, (3, 8, 8), dtype=torch.uint8)])
    last = WSOLDataPreprocessor(channels_last=True)(data)['inputs']
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, WSOLDataPreprocessor()(data)['inputs'])


def test_chance_level_of_a_dead_head(build, samples):
    model = build().train()
    nn.init.constant_(model.head.classifier[-2].bias, -100.0)
    losses = model.loss(torch.randn(2, 3, 64, 64), samples(0, 1))
    assert float(losses['loss_cls'].detach()) == pytest.approx(math.log(5))
    assert MessageHub.get_current_instance().get_info('wsol_stats')['peak_logit'] == 0
