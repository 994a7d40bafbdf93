import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS
from torch import nn

from bas_mm.analysis.step_benchmark import plain_losses
from bas_mm.models import WSOLClassifier
from bas_mm.structures import Acts
from tests.helpers.models import PAPER_TRUNKS, build_model, make_samples

FIGURES = {'acc', 'peak_logit'}
TERMS = ['loss_cls', 'loss_frg', 'loss_ac', 'loss_bas']


def total(losses):
    """What mmengine adds up."""
    return sum(value for name, value in losses.items() if 'loss' in name)


@pytest.mark.parametrize('mask', ['feature', 'image'])
@pytest.mark.parametrize('trunk', PAPER_TRUNKS)
def test_bas_equals_the_formulas_with_a_copied_f2(trunk, mask):
    if mask == 'image' and trunk not in ('mobilenet-v1', 'vgg16'):
        pytest.skip('one trunk with and one without BatchNorm is enough')
    model = build_model(
        trunk=trunk,
        loss=dict(type='bas_mm.AMCLoss', alpha=0.5, beta=1.5, lambda_=2.0, mask=mask),
    )
    model.train()
    model.double()  # BatchNorm of three views blows rounding up
    torch.manual_seed(1)
    x, labels = torch.randn(3, 3, 64, 64).double(), torch.tensor([1, 4, 0])
    twin = copy.deepcopy(model)
    twin.neck.bind(twin.backbone)

    losses = model.loss(x, make_samples(1, 4, 0))
    total(losses).backward()
    expected = plain_losses(twin, x, labels)
    sum(expected.values()).backward()

    assert [name for name in losses if 'loss' in name] == list(expected)
    for name in expected:
        torch.testing.assert_close(
            losses[name], expected[name], check_dtype=False, rtol=1e-5, atol=1e-6
        )
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters()):
        error = (ours.grad - theirs.grad).norm() / theirs.grad.norm()
        assert error < 1e-3 or theirs.grad.norm() < 1e-6, (name, error)
    # one pass through the trunk moved the statistics, the frozen one did not
    for (name, ours), theirs in zip(model.named_buffers(), twin.buffers()):
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize('trunk', ['mobilenet-v1', 'resnet50'])
def test_channels_last_is_a_layout_and_nothing_else(trunk):
    """Of views and weights; loading keeps it."""
    labels = make_samples(1, 4, 0)
    data = dict(inputs=list(torch.randint(0, 255, (3, 3, 64, 64)).byte()))
    found = []
    for last in (False, True):
        model = build_model(
            trunk=trunk, model=dict(data_preprocessor=dict(channels_last=last))
        )
        model.load_state_dict(found[0][0].state_dict() if last else model.state_dict())
        kernels = [p for p in model.parameters() if p.dim() == 4]
        layout = torch.channels_last if last else torch.contiguous_format
        assert all(p.is_contiguous(memory_format=layout) for p in kernels)
        views = model.data_preprocessor(data)['inputs'].double()
        assert views.is_contiguous(memory_format=layout)
        start = copy.deepcopy(model)
        losses = model.train().double().loss(views, labels)
        total(losses).backward()
        found.append((start, losses, [p.grad for p in model.parameters()]))
    (_, losses, grads), (_, other_losses, other_grads) = found
    for name in TERMS:
        torch.testing.assert_close(losses[name], other_losses[name], rtol=1e-5, atol=0)
    for ours, theirs in zip(grads, other_grads):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-7)


def test_frozen_pass_gives_no_gradient_to_f2_and_head():
    model = build_model(loss=dict(type='bas_mm.AMCLoss', alpha=0, beta=0)).train()
    losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 1))
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
def test_warm_up_and_all_weights_0_are_cross_entropy(kwargs):
    model = build_model(**kwargs).train()
    model.cls_only = not kwargs
    x = torch.randn(2, 3, 64, 64)
    losses = model.loss(x, make_samples(3, 3))
    assert set(losses) == {*TERMS, *FIGURES}
    assert losses['loss_frg'] == losses['loss_ac'] == losses['loss_bas'] == 0
    total(losses).backward()
    # DistributedDataParallel needs every parameter in the graph
    assert all(p.grad is not None for p in model.parameters())
    assert model.head.generator.weight.grad.abs().sum() == 0


def test_figures_for_the_log_stand_among_the_losses():
    model = build_model().train()
    losses = model(torch.randn(2, 3, 64, 64), make_samples(3, 1), mode='loss')
    assert set(losses) == {
        *TERMS,
        *FIGURES,
        'fg_area',
        'bg_ratio',
        'fg_border',
        'fg_spread',
    }
    summed, logged = model.parse_losses(losses)
    torch.testing.assert_close(summed, sum(losses[name] for name in TERMS))
    assert set(logged) == {'loss', *losses}
    for name in set(losses) - set(TERMS):
        assert not losses[name].requires_grad


def test_cam_is_the_same_network_without_generator():
    bas, cam = build_model().train(), build_model('CAM').train()
    state = {k: v for k, v in bas.state_dict().items() if 'generator' not in k}
    assert state.keys() == cam.state_dict().keys()
    cam.load_state_dict(state)
    x = torch.randn(2, 3, 64, 64)
    losses = cam.loss(x, make_samples(0, 2))
    assert set(losses) == {'loss_cls', *FIGURES}
    torch.testing.assert_close(
        losses['loss_cls'], bas.loss(x, make_samples(0, 2))['loss_cls']
    )


@pytest.mark.parametrize('method', ['BAS', 'CAM'])
def test_predict(method):
    model = build_model(method, 'vgg16', topk=2, threshold=0.3).eval()
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        out = model(x, make_samples(0, 1), mode='predict')
        logits = model(x)
        acts = model.head(model.neck(x))
        every = model.head.class_maps(acts, torch.arange(5).expand(2, 5))
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


def test_map_label():
    maps = {}
    for map_label in ('gt', 'pred'):
        model = build_model(trunk='vgg16', map_label=map_label).eval()
        x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            label = int(model(x).argmax())
            for gt in (label, (label + 1) % 5):
                maps[map_label, gt == label] = model.predict(x, make_samples(gt))[
                    0
                ].pred_map
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


def test_other_crops_count_for_the_scores_alone():
    model = build_model(trunk='vgg16', topk=2).eval()
    x, crops = torch.randn(2, 3, 64, 64), torch.randn(2, 4, 3, 64, 64)
    with torch.no_grad():
        out = model(x, make_samples(0, 1), mode='predict', crops=crops)
        alone = model(x, make_samples(0, 1), mode='predict')
        scores = torch.stack([model(c).softmax(1) for c in (x, *crops.unbind(1))]).mean(
            0
        )
    for a, b, score in zip(out, alone, scores):
        torch.testing.assert_close(a.pred_score, score)
        assert a.pred_label == score.argmax()
        torch.testing.assert_close(a.pred_map, b.pred_map)
        torch.testing.assert_close(a.pred_bbox, b.pred_bbox)


def test_boxes_on_the_samples_change_nothing():
    model = build_model().train()
    x = torch.randn(2, 3, 64, 64)
    state = copy.deepcopy(model.state_dict())
    plain = model.loss(x, make_samples(0, 1))
    model.load_state_dict(state)
    boxed = make_samples(0, 1)
    for sample in boxed:
        sample.gt_bboxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    for name, value in model.loss(x, boxed).items():
        assert torch.equal(value, plain[name])


def test_chance_level_of_a_dead_head():
    model = build_model().train()
    nn.init.constant_(model.head.classifier[-2].bias, -100.0)
    losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 1))
    assert float(losses['loss_cls'].detach()) == pytest.approx(math.log(5))
    assert losses['peak_logit'] == 0


def test_mixed_labels_are_trained_on():
    model = build_model('CAM', 'tiny').train()
    x, samples = torch.randn(2, 3, 64, 64), make_samples(0, 3)
    soft = torch.tensor([[0.3, 0.7, 0, 0, 0], [0, 0, 0, 1.0, 0]])
    for sample, score in zip(samples, soft):
        sample.set_gt_score(score)
    assert torch.equal(model.targets(samples), soft)
    assert model.targets(make_samples(0, 3)).tolist() == [0, 3]
    state = copy.deepcopy(model.state_dict())
    losses = model.loss(x, samples)
    model.load_state_dict(state)
    logits = model(x)
    expected = -(soft * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(losses['loss_cls'], expected)


@pytest.mark.parametrize('augment', ['CutMix', 'Mixup'])
def test_batch_augmentations_of_mmpretrain_reach_the_loss(augment):
    """Through the preprocessor, as the runner does; BAS refuses them in words."""
    preprocessor = dict(
        num_classes=5,
        batch_augments=dict(augments=[dict(type=augment, alpha=1.0)]),
    )
    model = build_model('CAM', 'tiny', model=dict(data_preprocessor=preprocessor))
    torch.manual_seed(0)
    np.random.seed(0)  # mmpretrain draws the shares from NumPy
    view = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8)
    data = dict(inputs=list(view), data_samples=make_samples(0, 1, 2, 3))
    data = model.data_preprocessor(data, training=True)
    target = model.targets(data['data_samples'])
    assert target.shape == (4, 5) and ((target > 0).sum(1) == 2).any()
    model.train()
    state = copy.deepcopy(model.state_dict())
    loss = model.loss(**data)['loss_cls']
    model.load_state_dict(state)
    logs = model(data['inputs']).log_softmax(1)
    torch.testing.assert_close(loss, -(target * logs).sum(1).mean())
    hard = F.nll_loss(logs, torch.arange(4))
    assert abs(float(loss.detach() - hard.detach())) > 1e-4

    bas = build_model('BAS', 'tiny', model=dict(data_preprocessor=preprocessor))
    with pytest.raises(
        ValueError, match='BASHead needs one label.*batch_augments.*data_preprocessor'
    ):
        bas.loss(**data)


@pytest.mark.parametrize('method', ['BAS', 'CAM'])
def test_maps_of_any_classes_from_one_pass(method):
    model = build_model(method, 'tiny').eval()
    x, passes = torch.randn(2, 3, 64, 64), []
    model.backbone.conv1.register_forward_hook(lambda *args: passes.append(1))
    with torch.no_grad():
        maps = model.class_maps(x, [4, 0, 2, 4])
        assert len(passes) == 1
        alone = torch.stack(
            [
                torch.stack(
                    [
                        sample.pred_map
                        for sample in model.predict(x, make_samples(label, label))
                    ]
                )
                for label in (4, 0, 2, 4)
            ],
            1,
        )
        torch.testing.assert_close(maps, alone)
        each = model.class_maps(x, torch.tensor([[1], [3]]))
        torch.testing.assert_close(each[1, 0], model.class_maps(x, [3])[1, 0])
        with pytest.raises(ValueError, match=r'classes 0 to 4 .*asked were \[1, 5\]'):
            model.class_maps(x, [1, 5])
        for classes, shape in (
            ([[0, 1]], r'\(1, 2\)'),
            ([], r'\(2, 0\)'),
            (3, r'\(\)'),
        ):
            with pytest.raises(ValueError, match=rf'shape {shape}; \(K,\) or \(2, K\)'):
                model.class_maps(x, classes)
        # with a refiner, one after the other
        model.refiner = Mirror()
        torch.testing.assert_close(
            model.class_maps(x, [4, 0, 2, 4]), maps.flip(-1), msg='refined'
        )


def test_test_options_are_arguments_and_leave_the_model_alone():
    model = build_model('BAS', 'tiny', topk=2, threshold=0.3).eval()
    x, before = torch.randn(1, 3, 64, 64), dict(vars(model.head))
    with torch.no_grad():
        plain = model.predict(x)[0]
        one = model.predict(x, make_samples(3), test_cfg=dict(topk=1, threshold=0.9))
        tall = build_model('BAS', 'tiny', topk=1, threshold=0.9).eval()
        expected = tall.predict(x, make_samples(3))[0]
        torch.testing.assert_close(one[0].pred_map, expected.pred_map)
        assert torch.equal(one[0].pred_bbox, expected.pred_bbox)
        assert not torch.equal(plain.pred_map, expected.pred_map)
        for cut in ('otsu', 0.0):
            model.predict(x, test_cfg=dict(threshold=cut))
        with pytest.raises(ValueError, match=r"no option \['top'\]: it takes topk, "):
            model.predict(x, test_cfg=dict(top=1))
        with pytest.raises(ValueError, match="threshold.*'otsu' or 'auto'; got 2"):
            model.predict(x, test_cfg=dict(threshold=2))
    assert vars(model.head) == before
    # settings of the head are read when they are needed, not copied
    model.head.topk = 1
    with torch.no_grad():
        got = model.predict(x, make_samples(3))[0].pred_map
    torch.testing.assert_close(got, expected.pred_map)


@MODELS.register_module()
class LogitPenalty(nn.Module):
    """An additional loss."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight
        self.register_buffer('seen', torch.zeros(()))

    def forward(self, acts, target, epoch):
        self.seen += 1
        return dict(
            loss_penalty=self.weight * acts.logits.square().mean(),
            penalty_epoch=acts.logits.new_tensor(float(epoch)),
        )


def test_aux_losses_are_added_to_any_method():
    x, samples = torch.randn(2, 3, 64, 64), make_samples(0, 2)
    aux = [dict(type='LogitPenalty', weight=0.5)]
    for method in ('BAS', 'CAM'):
        model = build_model(method, 'tiny', model=dict(aux_losses=aux)).train()
        plain = build_model(method, 'tiny').train()
        MessageHub.get_current_instance().update_info('epoch', 3)
        losses, bare = model.loss(x, samples), plain.loss(x, samples)
        MessageHub.get_current_instance().update_info('epoch', 0)
        for name, value in bare.items():
            assert torch.equal(losses[name], value), name
        logits = plain.train()(x)
        torch.testing.assert_close(
            losses['loss_penalty'], 0.5 * logits.square().mean(), rtol=1e-4, atol=1e-5
        )
        assert losses['penalty_epoch'] == 3
        assert model.state_dict()['aux_losses.0.seen'] == 1
        model.cls_only = True  # the warm-up is classification alone
        assert 'loss_penalty' not in model.loss(x, samples)


def test_aux_losses_of_one_name_are_refused():
    model = build_model(
        'CAM', 'tiny', model=dict(aux_losses=[LogitPenalty(1.0), LogitPenalty(2.0)])
    ).train()
    with pytest.raises(
        ValueError, match=r"aux_losses\[1\] \(LogitPenalty\) gives \['loss_penalty', "
    ):
        model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 2))


def test_peak_logit_is_the_largest_either_way():
    model = build_model('CAM', 'tiny', num_convs=0, final_relu=False).train()
    nn.init.constant_(model.head.classifier[-1].weight, 0.0)
    nn.init.constant_(model.head.classifier[-1].bias, -7.0)
    losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 2))
    assert losses['peak_logit'] == 7


def test_force_label_puts_the_label_among_the_classes():
    x = torch.randn(1, 3, 64, 64)
    model = build_model('BAS', 'tiny', topk=2).eval()
    with torch.no_grad():
        order = model(x)[0].argsort(descending=True)
        label = int(order[-1])  # among the best two by force alone
        (forced,) = model.predict(
            x, make_samples(label), test_cfg=dict(force_label=True)
        )
        maps = model.class_maps(x, [int(order[0]), label])[0]
    torch.testing.assert_close(forced.pred_map, maps.mean(0))


def test_a_head_overrides_boxes_with_the_four_arguments():
    model = build_model('CAM', 'tiny').eval()
    model.head.boxes = lambda acts, maps, size, threshold: torch.tensor(
        [[1.0, 2.0, *size]]
    )
    with torch.no_grad():
        (sample,) = model.predict(torch.randn(1, 3, 64, 96), make_samples(1))
    assert sample.pred_bbox.tolist() == [1, 2, 64, 96]


def test_predict_with_gradient():
    model = build_model('BAS', 'tiny').eval()
    (sample,) = model.predict(torch.randn(1, 3, 64, 64), make_samples(1))
    assert sample.pred_map.requires_grad and sample.pred_bbox.shape == (4,)


@pytest.mark.parametrize('neck', [None, dict(type='GlobalAveragePooling')])
def test_another_neck_is_refused(neck):
    with pytest.raises(ValueError, match=r'must be a bas_mm.SplitNeck.*model\.neck='):
        WSOLClassifier(
            dict(type='ResNet', depth=18),
            neck,
            dict(type='bas_mm.CAMHead', num_classes=3, in_channels=512),
        )


def test_a_rule_for_the_threshold_puts_the_percentile_out_of_use():
    model = build_model('CAM', 'tiny', percentile=80).eval()
    assert model.head.test_options(dict(threshold='otsu')).percentile is None
    assert model.head.test_options(dict(threshold=0.3)).percentile == 80


class Mirror(nn.Module):
    """A refiner that keeps what it was given."""

    def refine(self, maps, acts, inputs, classes):
        self.given = (maps, acts, inputs, classes)
        return maps.flip(-1)


def test_a_refiner_changes_the_mean_map_before_the_box():
    refiner = Mirror()
    model = build_model(
        'BAS', 'tiny', topk=2, model=dict(refiner=refiner), threshold=0.5
    ).eval()
    plain = build_model('BAS', 'tiny', topk=2, threshold=0.5).eval()
    x, crops = torch.randn(2, 3, 64, 96), torch.randn(2, 2, 3, 64, 96)
    with torch.no_grad():
        ours = model.predict(x, crops=crops)
        theirs = plain.predict(x, crops=crops)
    for a, b in zip(ours, theirs):
        assert torch.equal(a.pred_map, b.pred_map.flip(-1))
        x0, y0, x1, y1 = b.pred_bbox.tolist()
        assert a.pred_bbox.tolist() == [96 - x1, y0, 96 - x0, y1]
        assert torch.equal(a.pred_score, b.pred_score)
    maps, acts, inputs, classes = refiner.given
    assert maps.dtype == torch.float32 and maps.ndim == 3
    assert isinstance(acts, Acts) and len(acts.logits) == 2
    assert torch.equal(inputs, x) and classes.shape == (2, 2)
    model.train()
    del refiner.given
    model.loss(x, make_samples(0, 1))
    assert not hasattr(refiner, 'given')


def test_the_concrete_classifier_is_both_methods():
    for method in ('BAS', 'CAM'):
        named = build_model(method, 'tiny')
        plain = build_model(method, 'tiny', model=dict(type='bas_mm.WSOLClassifier'))
        assert type(plain) is WSOLClassifier and isinstance(named, WSOLClassifier)
        assert plain.state_dict().keys() == named.state_dict().keys()


def test_acts_of_a_part_of_the_batch():
    acts = Acts((torch.arange(6.0).view(3, 2),), torch.eye(3), None)
    part = acts[:2]

    @dataclasses.dataclass(frozen=True)
    class More(Acts):
        second: torch.Tensor | None = None
        count: int = 0

    more = More(acts.feats, acts.logits, second=torch.arange(3), count=7)[1:]
    assert type(more) is More and more.count == 7
    assert more.second.tolist() == [1, 2]
    assert torch.equal(part.feats[0], acts.feats[0][:2])
    assert torch.equal(part.logits, torch.eye(3)[:2]) and part.logit_map is None
    with pytest.raises(AttributeError):
        acts.logits = None
