import math
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from bas_mm.engine import ClassCheckHook, ClsWarmupHook, WSOLMonitorHook
from bas_mm.models import CAMHead
from tests.helpers.runner import Runner, run

SOUND = dict(acc=50, loss_cls=0.5, peak_logit=9, fg_area=0.3, bg_ratio=0.7)


def test_monitor_is_silent_without_collapse_or_without_figures(caplog):
    runner, hook = Runner(), WSOLMonitorHook()
    hook.after_train_iter(runner, 0)
    hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(0.5)))
    run(hook, runner, 8, **SOUND)
    assert not caplog.records


@pytest.mark.parametrize(
    'stats, message',
    [
        (dict(peak_logit=0, loss_cls=math.log(5)), r'logits are all zero.*final_relu'),
        (dict(loss_cls=math.log(5)), r'ln C.*optim_wrapper\.optimizer\.lr'),
        (dict(fg_area=0.005), r'vanish \(mean area 0\.50%\).*loss\.beta.*Warmup'),
        (dict(fg_area=0.96), r'saturate \(mean area 96\.00%\).*init_cfg'),
    ],
)
def test_monitor_warns_once_of_collapse_after_an_epoch(caplog, stats, message):
    import re

    runner, hook = Runner(), WSOLMonitorHook(grace=0)
    run(hook, runner, 3, **{**SOUND, **stats})
    assert not caplog.records
    run(hook, runner, 9, **{**SOUND, **stats})
    assert len(caplog.records) == 1
    assert re.search(message, caplog.records[0].getMessage())
    assert 'epoch 1' in caplog.records[0].getMessage()


def test_monitor_gives_a_start_at_chance_some_grace(caplog):
    runner, hook = Runner(), WSOLMonitorHook(grace=10)
    run(hook, runner, 8, **{**SOUND, 'loss_cls': math.log(5)})
    assert not caplog.records
    run(hook, runner, 4, **{**SOUND, 'loss_cls': math.log(5)})
    assert 'epoch 1: `loss_cls` stayed' in caplog.text


def test_monitor_takes_a_slow_start_for_no_collapse(caplog):
    """The mean is ln C, but the steps are not."""
    runner, hook = Runner(), WSOLMonitorHook(grace=0)
    for i in range(4):
        run(hook, runner, 1, **{**SOUND, 'loss_cls': math.log(5) + 0.1 * (-1) ** i})
    assert not caplog.records


def test_warm_up_follows_the_epoch():
    runner, hook = Runner(), ClsWarmupHook(epochs=2)
    seen = []
    for runner.epoch in (0, 1, 2, 3):
        hook.before_train_epoch(runner)
        seen.append(runner.model.cls_only)
    assert seen == [True, True, False, False]
    runner.epoch = 1  # a resume
    hook.before_train_epoch(runner)
    assert runner.model.cls_only
    with pytest.raises(ValueError, match='0 or more, got -1'):
        ClsWarmupHook(epochs=-1)


def test_a_training_that_is_all_warm_up_is_warned_of(caplog):
    runner, hook = Runner(), ClsWarmupHook(epochs=5)
    hook.before_train(runner)
    assert not caplog.records
    runner.max_epochs = 5
    hook.before_train(runner)
    (record,) = caplog.records
    assert 'All 5 epochs are warm-up (default_hooks.warmup.epochs=5)' in record.message
    assert 'train_cfg.max_epochs' in record.message
    ClsWarmupHook(epochs=0).before_train(runner)
    assert len(caplog.records) == 1


def test_monitor_looks_at_each_epoch_anew(caplog):
    runner, hook = Runner(), WSOLMonitorHook(grace=0)
    run(hook, runner, 4, **{**SOUND, 'fg_area': 0.9})
    run(hook, runner, 2, **{**SOUND, 'fg_area': 1.0})
    run(hook, runner, 2, **{**SOUND, 'fg_area': 0.8})  # a mean of 0.9
    assert not caplog.records
    run(hook, runner, 4, **{**SOUND, 'fg_area': 0.96})
    assert len(caplog.records) == 1


@pytest.mark.parametrize('stage', ['train', 'val', 'test'])
def test_class_counts(stage):
    check = f'before_{stage}'
    getattr(ClassCheckHook(), check)(Runner())
    getattr(ClassCheckHook(), check)(Runner(classes=None))
    with pytest.raises(
        ValueError,
        match=r'has 5 classes, but the head has 200.*'
        r'--cfg-options model\.head\.num_classes=5',
    ):
        getattr(ClassCheckHook(), check)(Runner(num_classes=200))
    two = Runner(num_classes=200)
    two.cfg = dict(model=dict(localizer=dict(head=dict()), classifier=dict(head={})))
    with pytest.raises(
        ValueError,
        match=r'--cfg-options model\.localizer\.head\.num_classes=5 '
        r'model\.classifier\.head\.num_classes=5`',
    ):
        getattr(ClassCheckHook(), check)(two)


@pytest.mark.parametrize(
    'options, warned',
    [
        (dict(topk=5, final_relu=False), True),
        (dict(topk=9, final_relu=False), True),
        (dict(topk=4, final_relu=False), False),
        (dict(topk=5), False),
        (dict(topk=5, final_relu=False, clamp_weights=True), False),
    ],
)
def test_a_mean_that_nothing_trains_is_warned_of(caplog, options, warned):
    runner = Runner()
    runner.model.head = CAMHead(5, 4, mid_channels=8, **options)
    ClassCheckHook().before_train(runner)
    assert ('model.head.topk=1`' in caplog.text) == warned
    caplog.clear()
    ClassCheckHook().before_test(runner)
    assert ('model.head.topk=1`' in caplog.text) == warned


def test_why_the_mean_is_not_trained():
    """Cross-entropy's gradients of the classes add up to nothing."""
    torch.manual_seed(0)
    feats = [torch.randn(6, 4, 5, 5)]
    for final_relu, moves in ((True, True), (False, False)):
        head = CAMHead(3, 4, mid_channels=8, final_relu=final_relu)
        logits = head(feats).logits
        F.cross_entropy(logits, torch.arange(6) % 3).backward()
        grads = head.classifier[head._last].weight.grad
        assert grads.abs().max() > 1e-4
        assert (grads.sum(0).abs().max() > 1e-4) == moves


def test_nothing_is_trained_on_one_class():
    one = Runner(classes=('cat',), num_classes=1)
    with pytest.raises(ValueError, match="has one class, 'cat': .* at least two"):
        ClassCheckHook().before_train(one)
    ClassCheckHook().before_val(one)


def test_the_monitor_goes_on_inside_an_epoch():
    outputs = [
        dict(loss_cls=torch.tensor(1.0), peak_logit=torch.tensor(p)) for p in (0.0, 2.0)
    ]
    runner = mock.Mock(_resume=True, iter=0, epoch=0, train_dataloader=[0] * 3)
    runner.model = torch.nn.Linear(1, 1)
    first, second = WSOLMonitorHook(), WSOLMonitorHook()
    checkpoint = {}
    with mock.patch('bas_mm.engine.monitor_hook.count_classes', return_value=3):
        for output in outputs:
            first.after_train_iter(runner, 0, outputs=output)
        first.before_save_checkpoint(runner, checkpoint)
        second.after_load_checkpoint(runner, checkpoint)
        for hook in (first, second):
            with mock.patch.object(hook, '_check') as check:
                hook.after_train_iter(runner, 2, outputs=outputs[1])
            (_, means, _), _ = check.call_args
            assert means['peak_logit'] == pytest.approx(4 / 3)
