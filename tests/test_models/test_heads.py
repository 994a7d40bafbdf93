import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from bas_mm.models import BASHead, CAMHead
from bas_mm.models.heads.bas_head import filter_each
from bas_mm.structures import Acts


def bas_head(**kwargs):
    kwargs = dict(
        num_classes=9, in_channels=4, mid_channels=4, map_channels=6, **kwargs
    )
    return BASHead(**kwargs)


@pytest.mark.parametrize('k', [1, 2, 4, 7])
def test_class_maps_equal_the_full_generator(k):
    torch.manual_seed(0)
    head = bas_head().double()
    feat = torch.randn(3, 6, 5, 7, dtype=torch.double, requires_grad=True)
    classes = torch.stack([torch.randperm(9)[:k] for _ in range(3)])
    weight = torch.randn(3, k, 5, 7, dtype=torch.double)

    full = torch.sigmoid(
        F.conv2d(feat, head.generator.weight, head.generator.bias, padding=1).float()
    )
    expected = torch.stack([full[b, classes[b]] for b in range(3)])
    params = [feat, *head.generator.parameters()]
    grads = torch.autograd.grad((expected * weight).sum(), params)

    acts = Acts((feat, torch.zeros(3, 4, 2, 2)), torch.zeros(3, 9))
    maps = head.class_maps(acts, classes)
    torch.testing.assert_close(maps, expected)
    for ours, theirs in zip(torch.autograd.grad((maps * weight).sum(), params), grads):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('size, bias', [(1, True), (3, False), (5, True)])
def test_filters_of_each_image_are_those_of_its_own_conv(size, bias):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 6, size, padding=size // 2, bias=bias)
    feat = torch.randn(3, 4, 5, 2).contiguous(memory_format=torch.channels_last)
    channels = torch.tensor([[5, 0], [2, 2], [1, 4]])
    full = conv(feat)
    expected = torch.stack([full[b, channels[b]] for b in range(3)])
    torch.testing.assert_close(filter_each(conv, feat, channels), expected)
    half = filter_each(conv.bfloat16(), feat.bfloat16(), channels)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, rtol=0.1, atol=0.02)


@pytest.mark.filterwarnings('ignore')  # that tracing is old
def test_a_traced_generator_takes_any_batch():
    """As the graph of an export does: no size of it is that of the batch."""
    head = bas_head().requires_grad_(False)

    class Maps(torch.nn.Module):
        def forward(self, feat, classes):
            return head.class_maps(Acts((feat, feat), classes), classes)

    def example(b):
        return torch.randn(b, 6, 5, 7), torch.randint(9, (b, 2))

    traced = torch.jit.trace(Maps(), example(3))
    for b in (1, 4):
        data = example(b)
        torch.testing.assert_close(traced(*data), Maps()(*data))


def test_cam_maps_are_the_maps_whose_mean_is_the_logit():
    head = CAMHead(num_classes=5, in_channels=3, mid_channels=4)
    x = torch.randn(2, 3, 6, 6)
    acts = head((x,))
    assert acts.feats == (x,) and acts.logits.dtype == torch.float32
    torch.testing.assert_close(acts.logit_map, head.classifier(x))
    maps = head.class_maps(acts, torch.tensor([[4, 0], [2, 2]]))
    assert maps.shape == (2, 2, 6, 6)
    torch.testing.assert_close(
        maps.mean((2, 3)), torch.stack([acts.logits[0, [4, 0]], acts.logits[1, [2, 2]]])
    )


def test_a_head_without_logit_map_must_say_where_maps_come_from():
    class Global(CAMHead):
        def forward(self, feats):
            return Acts(tuple(feats), feats[-1].mean((2, 3)))

    head = Global(num_classes=3, in_channels=3)
    with pytest.raises(ValueError, match='Global has no logit map.*override'):
        head.class_maps(head((torch.zeros(1, 3, 2, 2),)), torch.tensor([[0]]))


def test_boxes_are_those_of_the_maps():
    head = CAMHead(num_classes=3, in_channels=1)
    acts = head((torch.zeros(2, 1, 4, 4),))
    maps = torch.zeros(2, 4, 4)
    maps[0, 1:3, 2:] = torch.tensor([[0.4, 1.0], [0.4, 1.0]])
    boxes = head.boxes(acts, maps, (4, 4), 0.5)
    assert boxes.dtype == torch.float32
    assert boxes.tolist() == [[3, 1, 4, 3], [0, 0, 4, 4]]  # no contrast: the view
    assert head.boxes(acts, maps, (4, 4), 0.3).tolist()[0] == [2, 1, 4, 3]
    # half of the 80th percentile (0.4) instead of half of the maximum
    cut = head.boxes(acts, maps, (4, 4), 0.5, percentile=80)
    assert cut.tolist()[0] == [2, 1, 4, 3]
    assert head.boxes(acts, maps, (4, 4), 'otsu').tolist()[0] == [3, 1, 4, 3]


@pytest.mark.parametrize('num_convs', [0, 1, 2])
def test_shape_of_the_head(num_convs):
    head = CAMHead(num_classes=5, in_channels=3, mid_channels=4, num_convs=num_convs)
    convs = [m for m in head.classifier if isinstance(m, torch.nn.Conv2d)]
    assert [c.kernel_size for c in convs] == [(3, 3)] * num_convs + [(1, 1)]
    assert head.classifier(torch.randn(1, 3, 6, 6)).shape == (1, 5, 6, 6)
    assert (head.classifier(torch.randn(4, 3, 6, 6)) >= 0).all()
    free = CAMHead(num_classes=5, in_channels=3, num_convs=0, final_relu=False)
    assert (free.classifier(torch.randn(4, 3, 6, 6)) < 0).any()


def test_select_classes():
    scores = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    label = torch.tensor([0, 0])

    def select(**kwargs):
        head = CAMHead(num_classes=3, in_channels=1, **kwargs)
        return head.select_classes(scores, label, head.test_options()).tolist()

    assert select() == [[0], [0]]
    assert select(topk=2) == [[1, 2], [0, 2]]
    # the label takes the place of the lowest score, only where it is missing
    assert select(topk=2, force_label=True) == [[1, 0], [0, 2]]
    assert select(topk=80) == [[1, 2, 0], [0, 2, 1]]


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(topk=0), r'model\.head\.topk.*at least 1, got 0'),
        (dict(map_label='top'), r"map_label.*'gt' or 'pred', got 'top'"),
        (dict(threshold=1.5), r'threshold.*between 0 and 1, .*got 1.5'),
        (dict(threshold='mean'), r"threshold.*'otsu' or 'auto'; got 'mean'"),
        (dict(percentile=0), r'percentile.*above 0.*got 0 beside 0.15'),
        (
            dict(threshold='otsu', percentile=90),
            r"beside a number.*got 90 beside 'otsu'",
        ),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CAMHead(num_classes=3, in_channels=1, **kwargs)


def test_soft_targets_give_the_mixed_loss():
    torch.manual_seed(0)
    head = CAMHead(num_classes=4, in_channels=3, num_convs=0, final_relu=False)
    acts = head((torch.randn(2, 3, 5, 5),))
    a, b = torch.tensor([0, 3]), torch.tensor([1, 3])
    soft = 0.3 * F.one_hot(a, 4) + 0.7 * F.one_hot(b, 4)
    losses = head.loss(acts, soft, None)
    expected = 0.3 * F.cross_entropy(acts.logits, a) + 0.7 * F.cross_entropy(
        acts.logits, b
    )
    torch.testing.assert_close(losses['loss_cls'], expected)
    right = (acts.logits.argmax(1) == b).float().mean() * 100
    torch.testing.assert_close(losses['acc'].squeeze(), right)


def test_linear_layer_becomes_the_last_conv(tmp_path):
    linear = torch.nn.Linear(8, 5)
    torch.save(
        dict(fc=1, **{f'fc.{k}': v for k, v in linear.state_dict().items()}),
        tmp_path / 'a.pth',
    )
    for kwargs in (dict(final_relu=False), dict()):
        head = MODELS.build(
            dict(
                type='bas_mm.CAMHead',
                num_classes=5,
                in_channels=8,
                num_convs=0,
                init_cfg=dict(
                    type='Pretrained', prefix='fc', checkpoint=str(tmp_path / 'a.pth')
                ),
                **kwargs,
            )
        )
        head.init_weights()
        feat = torch.randn(2, 8, 3, 4)
        maps = linear(feat.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        expected = maps if kwargs else maps.relu()
        assert torch.allclose(head.classifier(feat), expected, atol=1e-6)


def test_a_heads_own_weights_load_as_before():
    head = CAMHead(3, 8, mid_channels=4)
    other = CAMHead(3, 8, mid_channels=4)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.classifier[-2].weight, head.classifier[-2].weight)
