import pytest
import torch
import torch.nn.functional as F

from bas_mm.models import BASHead, CAMHead, RCAMHead, clamped_cam, threshold_avg_pool
from bas_mm.structures import Acts
from tests.helpers.models import build_model, make_samples


def test_thresholded_means_by_loops():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5)
    pooled = threshold_avg_pool(x, 0.3)
    assert pooled.shape == (2, 3) and pooled.dtype == torch.float32
    for b in range(2):
        for n in range(3):
            values = x[b, n].flatten().tolist()
            active = [v for v in values if v > 0.3 * max(values)]
            assert float(pooled[b, n]) == pytest.approx(sum(active) / len(active))
    torch.testing.assert_close(threshold_avg_pool(3 * x, 0.3), 3 * pooled)


def test_thresholded_means_at_their_limits():
    x = torch.rand(2, 3, 4, 5) + 0.1
    torch.testing.assert_close(threshold_avg_pool(x, 0.0), x.mean((2, 3)))
    assert (threshold_avg_pool(x, 0.5) >= x.mean((2, 3))).all()
    assert threshold_avg_pool(torch.zeros(1, 2, 3, 3), 0.1).tolist() == [[0, 0]]
    # a channel below zero has no place above its share of the maximum
    assert threshold_avg_pool(-x, 0.5).count_nonzero() == 0
    half = threshold_avg_pool(x.bfloat16(), 0.1)
    assert half.dtype == torch.float32
    for wrong in (1.0, 2.0, -0.1):
        with pytest.raises(ValueError, match=rf'pool_threshold.*below 1, got {wrong}'):
            threshold_avg_pool(x, wrong)


def test_gradient_of_thresholded_means():
    x = torch.tensor([[[[0.0, 1.0, 3.0, 4.0]]]], requires_grad=True)
    threshold_avg_pool(x, 0.2).backward()
    assert x.grad.flatten().tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_clamped_maps():
    torch.manual_seed(0)
    x, weight = torch.rand(2, 6, 3, 4), torch.randn(5, 6)
    maps = clamped_cam(x, weight)
    expected = torch.einsum('cn,bnhw->bchw', weight.relu(), x)
    torch.testing.assert_close(maps, expected)
    assert (maps >= 0).all()
    torch.testing.assert_close(clamped_cam(x, weight[..., None, None]), expected)
    classes = torch.tensor([[4, 0], [1, 1]])
    each = clamped_cam(x, weight[classes])
    torch.testing.assert_close(
        each, torch.stack([expected[0, [4, 0]], expected[1, [1, 1]]])
    )
    positive = weight.abs()
    torch.testing.assert_close(
        clamped_cam(x, positive), F.conv2d(x, positive[..., None, None])
    )
    assert not clamped_cam(x, -positive).any()


@pytest.mark.parametrize('num_convs', [0, 2])
@pytest.mark.parametrize('final_relu', [True, False])
def test_clamping_changes_maps_and_no_score(num_convs, final_relu):
    kwargs = dict(
        num_classes=5,
        in_channels=3,
        mid_channels=4,
        num_convs=num_convs,
        final_relu=final_relu,
    )
    plain, head = CAMHead(**kwargs), CAMHead(clamp_weights=True, **kwargs)
    head.load_state_dict(plain.state_dict())
    x, classes = torch.rand(2, 3, 6, 6), torch.tensor([[4, 0], [2, 2]])
    acts = head((x,))
    assert torch.equal(acts.logits, plain((x,)).logits)
    hidden, weight = x, None
    for layer in plain.classifier:
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (1, 1):
            weight = layer.weight
            break
        hidden = layer(hidden)
    full = F.conv2d(hidden, weight.clamp(min=0))
    expected = torch.stack([full[0, [4, 0]], full[1, [2, 2]]])
    torch.testing.assert_close(head.class_maps(acts, classes), expected)
    part = head.class_maps(acts[1:], classes[1:])
    torch.testing.assert_close(part, expected[1:])


def test_clamping_where_maps_have_no_class_weights_is_refused():
    with pytest.raises(ValueError, match='BASHead does not read.*clamp_weights'):
        BASHead(num_classes=3, in_channels=4, map_channels=4, clamp_weights=True)

    class Other(CAMHead):
        def forward(self, feats):
            return Acts(tuple(feats), feats[-1].mean((2, 3)))

    head = Other(num_classes=3, in_channels=3, clamp_weights=True)
    with pytest.raises(ValueError, match='Other does not hand out.*clamp_weights'):
        head.class_maps(head((torch.zeros(1, 3, 2, 2),)), torch.tensor([[0]]))


@pytest.mark.parametrize('num_convs', [0, 2])
def test_logits_of_the_head(num_convs):
    torch.manual_seed(0)
    head = RCAMHead(
        num_classes=5,
        in_channels=3,
        mid_channels=4,
        num_convs=num_convs,
        pool_threshold=0.2,
    )
    x = torch.rand(2, 3, 6, 6)
    acts = head((x,))
    hidden = head.classifier[:-1](x)
    conv = head.classifier[-1]
    expected = F.linear(
        threshold_avg_pool(hidden, 0.2), conv.weight.flatten(1), conv.bias
    )
    torch.testing.assert_close(acts.logits, expected)
    torch.testing.assert_close(acts.logit_map, head.classifier(x))
    head.clamp_weights = False
    classes = torch.tensor([[3], [1]])
    torch.testing.assert_close(
        head.class_maps(acts, classes)[:, 0], acts.logit_map[[0, 1], [3, 1]]
    )


def test_a_threshold_of_0_on_positive_features_is_the_mean():
    kwargs = dict(num_classes=4, in_channels=3, num_convs=0, final_relu=False)
    head, plain = RCAMHead(pool_threshold=0.0, **kwargs), CAMHead(**kwargs)
    head.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 5, 5) + 0.1
    torch.testing.assert_close(head((x,)).logits, plain((x,)).logits)


def test_options_of_the_head():
    head = RCAMHead(num_classes=3, in_channels=4)
    options = head.test_options()
    assert (options.threshold, options.percentile) == (0.35, 90)
    assert head.clamp_weights and not head.final_relu
    with pytest.raises(ValueError, match=r'model\.head\.final_relu=False'):
        RCAMHead(num_classes=3, in_channels=4, final_relu=True)
    with pytest.raises(ValueError, match=r'model\.head\.pool_threshold.*got 1'):
        RCAMHead(num_classes=3, in_channels=4, pool_threshold=1)


def test_it_trains_and_predicts():
    model = build_model(
        'CAM', 'tiny', type='bas_mm.RCAMHead', topk=2, final_relu=False
    ).train()
    losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 1))
    losses['loss_cls'].backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        samples = model.eval().predict(torch.randn(2, 3, 64, 64), make_samples(0, 1))
    assert samples[0].pred_map.min() >= 0
