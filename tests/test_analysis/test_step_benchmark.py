"""Our training step and the plain one."""

import pytest
import torch

from bas_mm.analysis import step_benchmark
from bas_mm.analysis.step_benchmark import PlainTrainee, TimedTrainee, time_steps
from bas_mm.utils.configs import read_config
from tests.helpers.tiny import write_config

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('steps')
    return {m: read_config(str(write_config(folder, m))) for m in ('CAM', 'BAS')}


def test_both_steps_lead_to_the_same_weights(configs):
    ours, plain = (kind(configs['BAS'], CPU) for kind in (TimedTrainee, PlainTrainee))
    assert 'step' in vars(ours.optim.optimizer)  # merged
    assert 'step' not in vars(plain.optim.optimizer)
    for one in (ours, plain):
        one.model.double()  # BatchNorm of tiny features blows rounding up
        one.model.data_preprocessor.float()
        normalize = one.model.data_preprocessor.forward

        def in_double(*args, normalize=normalize):
            data = normalize(*args)
            return {**data, 'inputs': data['inputs'].double()}

        one.model.data_preprocessor.forward = in_double
    plain.batch = ours.batch
    plain.model.load_state_dict(ours.model.state_dict())
    start = {name: x.clone() for name, x in ours.model.state_dict().items()}
    for one in (ours, plain):
        assert one.step() > 0
        (parts,) = one.parts
        assert min(parts) > 0
    assert ours.losses == pytest.approx(plain.losses, rel=1e-6)
    for name, value in ours.model.state_dict().items():
        torch.testing.assert_close(
            value, plain.model.state_dict()[name], rtol=1e-4, atol=1e-7, msg=name
        )
        assert not torch.equal(value, start[name]), name


def test_figures(configs):
    ours, plain = time_steps(configs['BAS'], 1, CPU)
    assert (ours.name, plain.name) == ('bas_mm', 'plain')
    for one in (ours, plain):
        assert one.step > 0 and one.batch_size == 5 and one.memory > 0
        assert one.forward + one.backward + one.optimizer == pytest.approx(1)
        assert min(one.forward, one.backward, one.optimizer) > 0
        assert 0 < one.floor < 1.5  # above 1: the rates were measured at a worse moment
    assert plain.flops > ours.flops > 0  # maps of all classes, weights' gradients
    assert ours.loss == pytest.approx(plain.loss, rel=1e-3)
    assert ours.memory < plain.memory  # of all maps, and of copied weights


def test_steps_that_do_not_compute_the_same(configs, monkeypatch):
    plain = step_benchmark.plain_losses
    monkeypatch.setattr(
        step_benchmark,
        'plain_losses',
        lambda *args: {k: 1.1 * v for k, v in plain(*args).items()},
    )
    with pytest.raises(ValueError, match='they do not compute the same'):
        list(time_steps(configs['BAS'], 1, CPU))


def test_what_cannot_be_timed(configs):
    with pytest.raises(ValueError, match='At least 1 step must be timed, got 0'):
        list(time_steps(configs['BAS'], 0, CPU))
    with pytest.raises(ValueError, match='trains CAMHead.*give a config of BAS'):
        list(time_steps(configs['CAM'], 1, CPU))
