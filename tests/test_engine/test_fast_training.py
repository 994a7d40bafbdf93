import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample
from torch._dynamo.utils import counters

from bas_mm.engine import CompileHook, fast_training
from bas_mm.engine.fast_training import BF16OptimWrapper, compile_trunks, train_fast
from bas_mm.models import SplitNeck
from tests.helpers.commands import call
from tests.helpers.tiny import build, write_config

CPU, CUDA = torch.device('cpu'), torch.device('cuda')


def gradients(model):
    """Losses and gradients of a step on noise, with what the log has."""
    views = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    samples = [DataSample().set_gt_label(i % 3) for i in range(5)]
    data = model.data_preprocessor(dict(inputs=views, data_samples=samples), True)
    model.train()
    loss, log = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {k: v.detach() for k, v in log.items()}, grads


@pytest.mark.parametrize('method', ['BAS', 'CAM'])
def test_compiled_layers_train_the_same(tmp_path, method):
    """Its frozen pass too; what is compiled has no weights of its own."""
    path = write_config(tmp_path, method)
    log, grads = gradients(build(path)[1])
    model = build(path)[1]
    names = list(model.state_dict())
    counters.clear()
    torch._dynamo.reset()
    assert compile_trunks(model, 'aot_eager') == 14
    found, found_grads = gradients(model)
    assert list(model.state_dict()) == names
    assert counters['stats']['unique_graphs'] > 8  # torch's own limit
    assert counters['frames']['total'] == counters['frames']['ok']
    for key, value in log.items():
        torch.testing.assert_close(found[key], value)
    assert found_grads.keys() == grads.keys()
    for key, value in grads.items():
        torch.testing.assert_close(found_grads[key], value)


def test_inserts_are_left_out():
    model = torch.nn.Module()
    model.trunk = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 4, 1)
    )
    model.neck = SplitNeck(inserts={'0': torch.nn.Identity()})
    model.neck.bind(model.trunk)
    assert len(model.neck.steps()) == 3
    assert compile_trunks(model, 'eager') == 2
    assert compile_trunks(torch.nn.Linear(2, 2)) == 0


@pytest.mark.parametrize('wrapped', [False, True])
def test_hook_looks_into_wrappers(monkeypatch, wrapped):
    seen = []
    monkeypatch.setattr(fast_training, 'compile_trunks', lambda *x: seen.append(x))
    monkeypatch.setattr('bas_mm.utils.models.is_model_wrapper', lambda model: wrapped)

    class Runner:
        model = torch.nn.Module()

    Runner.model.module = torch.nn.Module()
    CompileHook('eager').before_train(Runner)
    assert seen == [(Runner.model.module if wrapped else Runner.model, 'eager')]


def test_bf16_inside_and_float32_outside():
    model = torch.nn.Linear(4, 4)
    wrapper = BF16OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    assert isinstance(wrapper, OptimWrapper)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        out = model(torch.ones(2, 4))
        assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().sum())
    torch.testing.assert_close(before - model.weight.detach(), torch.full((4, 4), 0.2))
    assert model(torch.ones(2, 4)).dtype == torch.float32


def config(**wrapper):
    one = dict(type='bas_mm.CAMClassifier', data_preprocessor=dict(mean=[0]))
    model = dict(type='bas_mm.TwoNetworks', localizer=one, classifier=one)
    return Config(dict(model=model, optim_wrapper=dict(optimizer=dict(), **wrapper)))


def test_settings(monkeypatch):
    monkeypatch.setattr(fast_training, 'has_bf16', lambda device: True)
    cfg = config()
    train_fast(cfg, CPU)
    assert cfg.optim_wrapper.type == 'bas_mm.BF16OptimWrapper'
    assert 'custom_hooks' not in cfg
    assert 'channels_last' not in cfg.model.localizer.data_preprocessor
    cfg = config(type='OptimWrapper')
    cfg.custom_hooks = [dict(type='Own')]
    train_fast(cfg, CUDA)
    assert [hook.type for hook in cfg.custom_hooks] == ['Own', 'bas_mm.CompileHook']
    for network in (cfg.model.localizer, cfg.model.classifier):
        assert network.data_preprocessor.channels_last is True


@pytest.mark.parametrize(
    'kind, own, expected',
    [
        ('ImageClassifier', {}, False),
        ('ImageClassifier', dict(type='bas_mm.WSOLDataPreprocessor'), True),
        ('bas_mm.BASClassifier', {}, True),
        ('bas_mm.BASClassifier', dict(type='ClsDataPreprocessor'), False),
    ],
)
def test_only_ours_lay_views_out(monkeypatch, kind, own, expected):
    """Also one that stands beside the model, as mmengine allows."""
    monkeypatch.setattr(fast_training, 'has_bf16', lambda device: True)
    for inside in (True, False):
        cfg = config()
        cfg.model = dict(type=kind)
        (cfg.model if inside else cfg).data_preprocessor = dict(own, mean=[0])
        train_fast(cfg, CUDA)
        found = (cfg.model if inside else cfg).data_preprocessor
        assert found.get('channels_last', False) is expected


def test_what_cannot_be_had(monkeypatch):
    monkeypatch.setattr(fast_training, 'has_bf16', lambda device: device == CPU)
    with pytest.raises(ValueError, match='cuda is no faster at it: leave --fast out'):
        train_fast(config(), CUDA)
    with pytest.raises(ValueError, match='there is one: AmpOptimWrapper. Leave out'):
        train_fast(config(type='AmpOptimWrapper'), CPU)


def test_command(tmp_path, monkeypatch):
    monkeypatch.setattr(fast_training, 'has_bf16', lambda device: True)
    monkeypatch.chdir(tmp_path)
    seen = set()
    head = 'bas_mm.models.heads.bas_head.BASHead.loss'
    path = write_config(tmp_path)
    from bas_mm.models import BASHead

    loss = BASHead.loss

    def spy(self, acts, *args):
        seen.add(acts.feats[-1].dtype)
        return loss(self, acts, *args)

    monkeypatch.setattr(head, spy)
    call('train', path, '--fast', '--no-validate', '--work-dir', 'w')
    assert seen == {torch.bfloat16}
    weights = torch.load('w/epoch_2.pth', weights_only=False)['state_dict']
    assert {w.dtype for w in weights.values()} == {torch.float32, torch.int64}
