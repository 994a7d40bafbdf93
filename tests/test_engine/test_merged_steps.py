"""Steps over merged groups beside those of mmengine's optimizers."""

import copy

import pytest
import torch
from mmengine.optim import LinearLR, MultiStepLR, build_optim_wrapper
from torch import nn

from bas_mm.engine import resumable_runner
from bas_mm.engine.merged_steps import merge_by_default, merge_steps, takes_fused
from tests.helpers.classifier import read_weights
from tests.helpers.commands import call
from tests.helpers.tiny import write_config

PLAIN = 'DefaultOptimWrapperConstructor'
MERGED = 'bas_mm.MergedOptimWrapperConstructor'
SGD = dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
OPTIMIZERS = [
    SGD,
    dict(type='SGD', lr=0.1),
    dict(type='AdamW', lr=0.01, weight_decay=0.1),
    dict(type='Adam', lr=0.01, amsgrad=True),
    dict(type='RMSprop', lr=0.01),  # has no fused kernels
]
KEYS = dict(custom_keys={'0.bias': dict(lr_mult=2), '3': dict(lr_mult=10)})
DECAY = dict(norm_decay_mult=0.0, bias_decay_mult=0.5, bias_lr_mult=2)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)
    ).double()


def build(model, constructor, optimizer=SGD, paramwise=KEYS, **kwargs):
    cfg = dict(optimizer=optimizer, paramwise_cfg=paramwise, constructor=constructor)
    return build_optim_wrapper(model, {**cfg, **kwargs})


def train(model, wrapper, steps, schedulers=()):
    """Steps of batches that follow from their number alone."""
    rates = []
    for step in steps:
        torch.manual_seed(step)
        wrapper.update_params(model(torch.randn(2, 3, 6, 6).double()).square().mean())
        rates.append(wrapper.get_lr())
        for scheduler in schedulers:
            scheduler.step()
    return rates


def assert_alike(model, other):
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name])


@pytest.mark.parametrize('paramwise', [KEYS, DECAY, None])
@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_the_updates_and_rates_are_those_of_mmengine(optimizer, paramwise):
    if paramwise is DECAY:
        optimizer = {'weight_decay': 0.01, **optimizer}
    found = []
    for constructor in (PLAIN, MERGED):
        model = network()
        wrapper = build(model, constructor, optimizer, paramwise)
        schedulers = [
            LinearLR(wrapper, start_factor=0.1, end=3, by_epoch=False),
            MultiStepLR(wrapper, milestones=[5], gamma=0.1),
        ]
        rates = train(model, wrapper, range(8), schedulers)
        found.append((model, rates, [s.state_dict() for s in schedulers]))
    (plain, rates, states), (merged, other_rates, other_states) = found
    assert_alike(merged, plain)
    assert rates == other_rates
    assert [s['_last_value'] for s in states] == [
        s['_last_value'] for s in other_states
    ]
    moved = plain.state_dict()['3.weight'] - network().state_dict()['3.weight']
    assert moved.abs().max() > 1e-3


def test_accumulation_and_clipping():
    found = []
    for constructor in (PLAIN, MERGED):
        model = network()
        options = dict(accumulative_counts=2, clip_grad=dict(max_norm=0.1))
        train(model, build(model, constructor, **options), range(6))
        found.append(model)
    assert_alike(*found)


def test_a_step_sees_few_groups_and_nobody_else():
    model = network()
    wrapper = build(model, MERGED)
    seen = []
    wrapper.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append(
            [(g['lr'], len(g['params'])) for g in optimizer.param_groups]
        )
    )
    train(model, wrapper, range(1))
    assert seen == [[(0.1, 3), (0.2, 1), (1.0, 2)]]
    assert [len(g['params']) for g in wrapper.optimizer.param_groups] == [1] * 6
    assert all(g['fused'] for g in wrapper.optimizer.param_groups)


def test_a_step_that_fails_leaves_the_groups():
    model = network()
    optimizer = torch.optim.SGD([dict(params=[p]) for p in model.parameters()], lr=1)

    def fail(*args):
        raise MemoryError

    optimizer.register_step_pre_hook(fail)
    groups = optimizer.param_groups
    merge_steps(optimizer)
    with pytest.raises(MemoryError):
        optimizer.step()
    assert optimizer.param_groups is groups and len(groups) == 6


@pytest.mark.parametrize('optimizer', [SGD, OPTIMIZERS[2]])
@pytest.mark.parametrize('before, after', [(PLAIN, MERGED), (MERGED, PLAIN)])
def test_states_are_exchanged(optimizer, before, after):
    plain = network()
    train(plain, build(plain, PLAIN, optimizer), range(6))

    first, second = network(), network()
    wrapper = build(first, before, optimizer)
    train(first, wrapper, range(3))
    second.load_state_dict(first.state_dict())
    other = build(second, after, optimizer)
    other.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    if after == MERGED:  # and not as the checkpoint was stepped
        assert all(g['fused'] for g in other.optimizer.param_groups)
    train(second, other, range(3, 6))
    assert_alike(second, plain)


def test_numbers_of_another_layout_stay_at_their_places():
    """Momentum of a checkpoint, and a gradient, beside channels-last weights."""
    plain = network()
    wrapper = build(plain, PLAIN)
    train(plain, wrapper, range(3))
    last = network().to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    other = build(last, MERGED)
    other.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    train(plain, wrapper, range(3, 5))
    train(last, other, range(3, 5))
    assert_alike(last, plain)
    for param, twin in zip(last.parameters(), plain.parameters()):
        torch.manual_seed(9)
        param.grad = torch.randn(param.shape).double()
        twin.grad = param.grad.clone()
    wrapper.step()
    other.step()
    assert_alike(last, plain)
    assert last[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not last[0].weight.is_contiguous()


@pytest.mark.parametrize(
    'options', [dict(fused=False), dict(foreach=True), dict(differentiable=False)]
)
def test_the_config_says_how_to_step(options):
    wrapper = build(network(), MERGED, dict(SGD, **options))
    group = wrapper.optimizer.param_groups[0]
    assert not group['fused'] and group.items() >= options.items()


def test_what_has_fused_kernels():
    numbers = [torch.ones(2), torch.ones(2, dtype=torch.double)]
    assert takes_fused(torch.optim.SGD, numbers)
    assert not takes_fused(torch.optim.LBFGS, numbers)
    assert not takes_fused(torch.optim.SGD, [torch.ones(2, dtype=torch.complex64)])
    assert not takes_fused(torch.optim.SGD, [])


def test_optimizers_that_look_at_several_tensors_are_left_alone():
    optimizer = torch.optim.LBFGS(network().parameters())
    merge_steps(optimizer)
    assert 'step' not in vars(optimizer)


def test_what_gets_the_constructor():
    one = dict(optimizer=dict(type='SGD'))
    assert merge_by_default(one) == {**one, 'constructor': MERGED}
    assert 'constructor' not in one
    for other in (
        dict(one, constructor=PLAIN),
        dict(optimizer=torch.optim.SGD(network().parameters())),
        dict(first=one),
        None,
    ):
        assert merge_by_default(other) is other


def test_a_training_of_before_goes_on(tmp_path, monkeypatch):
    """Its checkpoint knows nothing of merged steps, its schedule neither."""
    monkeypatch.chdir(tmp_path)
    path = write_config(tmp_path)
    path.write_text(
        path.read_text().replace(
            "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))",
            f'optim_wrapper = dict(optimizer={SGD}, paramwise_cfg=dict('
            "custom_keys={'.bias': dict(lr_mult=2)}))\n"
            "param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True)",
        )
    )
    words = ['train', 'bas.py', '--no-validate', '--seed', '0', '--cfg-options']
    checkpoint = 'default_hooks.checkpoint'
    words += ['randomness.deterministic=True', f'{checkpoint}.interval=1']
    words += [f'{checkpoint}.max_keep_ckpts=2']
    with monkeypatch.context() as patch:
        patch.setattr(resumable_runner, 'merge_by_default', lambda cfg: cfg)
        call(*words, '--work-dir', 'plain')
    call(*words, '--work-dir', 'merged')
    words[3:3] = ['--resume', 'plain/epoch_1.pth', '--work-dir', 'resumed']
    call(*words)
    states = [
        torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)
        for name in ('plain', 'merged', 'resumed')
    ]
    plain, *others = states
    for other in others:
        assert other['param_schedulers'] == plain['param_schedulers']
        groups = [
            [{**g, 'fused': None} for g in state['optimizer']['param_groups']]
            for state in (other, plain)
        ]
        assert groups[0] == groups[1] and other['optimizer']['param_groups'][0]['fused']
        for name, value in plain['state_dict'].items():
            torch.testing.assert_close(
                other['state_dict'][name], value, rtol=1e-3, atol=1e-4
            )
    start = read_weights(tmp_path / 'plain' / 'epoch_1.pth')
    assert any((start[name] != x).any() for name, x in plain['state_dict'].items())
