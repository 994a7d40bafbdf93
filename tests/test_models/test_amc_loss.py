import math

import pytest
import torch

from bas_mm.models import AMCLoss
from bas_mm.structures import Acts


def acts_of(logit_map):
    return Acts((), logit_map.mean((2, 3), dtype=torch.float32), logit_map)


def inputs(final_relu=True):
    torch.manual_seed(0)
    logit_map = torch.randn(3, 4, 2, 2, dtype=torch.double) + 1
    if final_relu:
        logit_map = logit_map.relu()
    return dict(
        logit_map=logit_map.requires_grad_(),
        target=torch.tensor([0, 3, 1]),
        fg=torch.rand(3, 1, 4, 4, dtype=torch.double).requires_grad_(),
        bg_logits=torch.rand(3, 4, dtype=torch.double).requires_grad_(),
    )


def reference(logit_map, target, fg, bg_logits, alpha, beta, lambda_):
    """The table of the method, sample by sample in plain Python."""
    logit_map, fg, bg_logits = (x.detach() for x in (logit_map, fg, bg_logits))
    b, c, h, w = logit_map.shape
    total = dict.fromkeys(['loss_cls', 'loss_frg', 'loss_ac', 'loss_bas'], 0.0)
    for i in range(b):
        y = int(target[i])

        def cross_entropy(values, y=y):
            return math.log(sum(math.exp(v) for v in values)) - values[y]

        gap, frg = [], []
        for j in range(c):
            cells = [
                (
                    float(logit_map[i, j, p, q]),
                    float(fg[i, 0, 2 * p : 2 * p + 2, 2 * q : 2 * q + 2].mean()),
                )
                for p in range(h)
                for q in range(w)
            ]
            gap.append(sum(v for v, _ in cells) / (h * w))
            frg.append(sum(v * m for v, m in cells) / (h * w))
        s, s_bg = max(gap[y], 0.0), max(float(bg_logits[i, y]), 0.0)
        total['loss_cls'] += cross_entropy(gap) / b
        total['loss_frg'] += alpha * cross_entropy(frg) / b
        total['loss_ac'] += beta * float(fg[i].mean()) / b
        total['loss_bas'] += lambda_ * min(s_bg / (s + 1e-8), 1) / b
    return total


@pytest.mark.parametrize('final_relu', [True, False])
def test_terms(final_relu):
    x = inputs(final_relu)
    loss = AMCLoss(alpha=0.3, beta=0.7, lambda_=2.0)
    losses = loss(
        acts_of(x['logit_map']), x['target'], x['fg'], lambda bg: x['bg_logits']
    )
    expected = reference(**x, alpha=0.3, beta=0.7, lambda_=2.0)
    assert losses.keys() == {*expected, 'acc', 'fg_area', 'bg_ratio'}
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-5), name
    assert losses['fg_area'] == pytest.approx(float(x['fg'].detach().mean()))
    logits, ratios, right = x['logit_map'].detach().mean((2, 3)), [], 0
    for i, y in enumerate(x['target'].tolist()):
        right += int(logits[i].argmax()) == y
        s, s_bg = float(logits[i, y]), max(float(x['bg_logits'].detach()[i, y]), 0)
        ratios += [s_bg / s] if s > 0 else []
    assert float(losses['acc']) == pytest.approx(100 * right / 3)
    assert float(losses['bg_ratio']) == pytest.approx(sum(ratios) / len(ratios))


def test_activation_is_detached_and_capped_ratio_has_no_gradient():
    x = inputs()
    bg_logits = torch.zeros(3, 4, dtype=torch.double)
    bg_logits[0, 0] = 1e-3  # far below S
    bg_logits[1, 3] = 1e3  # ratio above 1
    bg_logits.requires_grad_()
    losses = AMCLoss(alpha=0, beta=0)(
        acts_of(x['logit_map']), x['target'], x['fg'], lambda bg: bg_logits
    )
    grad, none = torch.autograd.grad(
        losses['loss_bas'], [bg_logits, x['logit_map']], allow_unused=True
    )
    assert none is None
    assert grad[0, 0] > 0 and grad.count_nonzero() == 1


def test_weight_0_is_not_computed():
    x = inputs()

    def background(bg):
        raise AssertionError('the frozen pass must not run')

    losses = AMCLoss(alpha=0, beta=0, lambda_=0)(
        acts_of(x['logit_map']), x['target'], x['fg'], background
    )
    assert not any(losses[n].requires_grad for n in ('loss_frg', 'loss_ac', 'loss_bas'))
    assert losses['loss_frg'] == losses['loss_ac'] == losses['loss_bas'] == 0
    assert 'bg_ratio' not in losses


def test_dead_logits_give_finite_losses():
    x = inputs()
    dead = torch.zeros_like(x['logit_map'])
    losses = AMCLoss()(
        acts_of(dead), x['target'], x['fg'], lambda bg: torch.zeros(3, 4)
    )
    assert losses['loss_cls'] == pytest.approx(math.log(4))
    assert losses['loss_bas'] == 0 and losses['bg_ratio'] == 0


def test_map_of_another_size_than_twice_the_logit_map():
    x = inputs()
    for size in ((2, 2), (8, 8), (5, 5)):
        fg = torch.full((3, 1, *size), 0.5, dtype=torch.double)
        losses = AMCLoss(alpha=1, beta=0, lambda_=0)(
            acts_of(x['logit_map']), x['target'], fg
        )
        # a constant map halves every logit
        half = torch.nn.functional.cross_entropy(
            x['logit_map'].mean((2, 3)) / 2, x['target']
        )
        assert float(losses['loss_frg']) == pytest.approx(float(half))


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(alpha=-1), r'model\.head\.loss\.alpha.*0 or more, got -1'),
        (dict(lambda_=float('nan')), r'lambda_.*got nan'),
        (dict(mask='pixels'), r"mask.*'feature' or 'image', got 'pixels'"),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AMCLoss(**kwargs)


@pytest.mark.parametrize('count, price', [(2, 1.5), (4, 1.75), (1000, 1.999)])
def test_auto_beta(count, price):
    """What holds a map open: lambda and twice alpha (1 - 1 / C)."""
    fg = torch.full((2, 1, 3, 3), 0.5)
    logit_map = torch.ones(2, count, 3, 3)
    target = torch.zeros(2, dtype=torch.long)
    auto = AMCLoss(alpha=0.5, beta='auto')(acts_of(logit_map), target, fg)
    fixed = AMCLoss(alpha=0.5, beta=price)(acts_of(logit_map), target, fg)
    torch.testing.assert_close(auto, fixed)
    assert float(auto['loss_ac']) == pytest.approx(price / 2)


def test_auto_beta_follows_the_weights():
    fg = torch.ones(1, 1, 2, 2)
    loss = AMCLoss(alpha=2.0, beta='auto', lambda_=0.25)
    out = loss(acts_of(torch.ones(1, 2, 2, 2)), torch.tensor([0]), fg)
    assert float(out['loss_ac']) == pytest.approx(0.25 + 2 * 2.0 * 0.5)


def test_beta_of_no_rule():
    with pytest.raises(
        ValueError, match="loss.beta` must be 0 or more, or 'auto', got"
    ):
        AMCLoss(beta='best')
    with pytest.raises(ValueError, match="loss.alpha` must be 0 or more, got 'auto'"):
        AMCLoss(alpha='auto')
