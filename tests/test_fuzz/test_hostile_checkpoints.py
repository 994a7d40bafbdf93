"""A corpus of hostile checkpoints: refused in words, and nothing of them is run."""

import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch

from bas_mm import WSOLInferencer
from bas_mm.engine.checkpoint import load_from_local
from tests.helpers.inference import make_files


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def by_name(module, name, *args):
    """A pickle that calls a function by its name, whether it is there or not."""
    texts = [str(arg).encode() for arg in args]
    words = b''.join(b'X' + struct.pack('<I', len(text)) + text for text in texts)
    return b'\x80\x02c%s\n%s\n(%stR.' % (module.encode(), name.encode(), words)


FUNCTIONS = [
    ('os', 'system', 'touch MARK'),
    ('posix', 'system', 'touch MARK'),
    ('nt', 'system', 'touch MARK'),
    ('subprocess', 'Popen', 'touch MARK'),
    ('builtins', 'eval', "open('MARK','w')"),
    ('builtins', 'exec', "open('MARK','w')"),
    ('builtins', 'open', 'MARK', 'w'),
    ('builtins', '__import__', 'antigravity'),
    ('__builtin__', 'eval', "open('MARK','w')"),
    ('importlib', 'import_module', 'antigravity'),
    ('runpy', 'run_path', 'MARK'),
    ('shutil', 'rmtree', 'MARK'),
    ('torch', 'load', 'MARK'),
    ('torch.hub', 'load', 'MARK'),
    ('numpy', 'load', 'MARK'),
    ('numpy', 'fromfile', 'MARK'),
    ('mmengine.fileio', 'put', 'x', 'MARK'),
    ('mmengine.config', 'Config.fromfile', 'MARK'),
    ('bas_mm.commands', 'main', 'train'),
    ('pathlib', 'Path.touch', 'MARK'),
    ('webbrowser', 'open', 'x'),
    ('ctypes', 'CDLL', 'x'),
    ('functools', 'partial', 'x'),
    ('operator', 'attrgetter', 'x'),
    ('builtins', 'getattr', 'x', 'y'),
    ('collections', 'Counter', 'x'),
]


@pytest.mark.parametrize(
    'module, name, argument, more', [(*call[:3], call[3:]) for call in FUNCTIONS]
)
@pytest.mark.parametrize('zipped', [True, False])
def test_functions_are_not_called(tmp_path, module, name, argument, more, zipped):
    mark, path = tmp_path / 'mark', tmp_path / 'evil.pth'
    args = [str(word).replace('MARK', str(mark)) for word in (argument, *more)]
    content = by_name(module, name, *args)
    if zipped:
        with zipfile.ZipFile(path, 'w') as file:
            file.writestr('evil/data.pkl', content)
            file.writestr('evil/version', '3')
            file.writestr('evil/byteorder', 'little')
    else:  # magic number, protocol, system, the object, keys
        with open(path, 'wb') as file:
            for head in (0x1950A86A20F9469CFC6C, 1001, dict(little_endian=True)):
                pickle.dump(head, file, protocol=2)
            file.write(content)
            pickle.dump([], file, protocol=2)  # keys of storages
    if (module, name) == ('collections', 'Counter'):  # torch takes it for data
        load_from_local(path)
    else:
        with pytest.raises(ValueError, match=r'evil\.pth.*was refused: it holds'):
            load_from_local(path)
    assert not mark.exists()


def test_a_file_that_claims_to_be_huge(tmp_path):
    """Its storage is said to be of terabytes, and holds nothing."""
    torch.save(dict(a=torch.zeros(4)), tmp_path / 'a.pth')
    huge = tmp_path / 'huge.pth'
    with zipfile.ZipFile(tmp_path / 'a.pth') as old, zipfile.ZipFile(huge, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith('data.pkl'):
                data = data.replace(b'K\x04t', b'\x8a\x06\x00\x00\x00\x00\x00\x10t')
            new.writestr(name, data)
    try:
        found = load_from_local(huge)
    except ValueError as error:
        assert 'huge.pth' in str(error)
    else:
        assert found['a'].numel() == 4


@pytest.mark.parametrize('zipped', [True, False])
def test_flipped_bytes(tmp_path, zipped):
    """Every place is damaged once: a value, or words that name the file."""
    path = tmp_path / 'flipped.pth'
    good = tmp_path / 'good.pth'
    state = dict(state_dict=dict(w=torch.arange(3.0)), meta=dict(epoch=1))
    torch.save(state, good, _use_new_zipfile_serialization=zipped)
    data = good.read_bytes()
    rng = np.random.default_rng(0)
    read = 0
    for at in rng.choice(len(data), min(len(data), 250), replace=False):
        path.write_bytes(
            data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        )
        try:
            load_from_local(path)
            read += 1
        except ValueError as error:
            assert 'flipped.pth' in str(error)
    assert read < 250


CONTENTS = {
    'a list': [1, 2],
    'a number': 3,
    'a tensor': torch.zeros(2),
    'an empty dict': {},
    'weights that are a number': dict(state_dict=3, meta=dict(cfg='model = {}')),
    'keys that are numbers': {1: torch.zeros(1)},
    'meta that is a list': dict(state_dict={}, meta=[1]),
    'a config that is bytes': dict(state_dict={}, meta=dict(cfg=b'model = {}')),
    'a config that runs': dict(state_dict={}, meta=dict(cfg='import os; os.abort()')),
    'a model that is text': dict(state_dict={}, meta=dict(cfg='model = "x"')),
    'a nest': dict(state_dict={}, meta=dict(cfg=f'model = {"(" * 900}{")" * 900}')),
    'a null byte': dict(state_dict={}, meta=dict(cfg='model = "\0"')),
    'a type that is a number': dict(
        state_dict={},
        meta=dict(
            cfg='model=dict(type=3)\ntest_dataloader=dict(dataset=dict(pipeline=[]))'
        ),
    ),
}


@pytest.mark.parametrize('name', CONTENTS)
def test_checkpoints_that_are_something_else(tmp_path, name):
    path = tmp_path / 'odd.pth'
    torch.save(CONTENTS[name], path)
    with pytest.raises(ValueError, match=r'odd\.pth'):
        WSOLInferencer(path)


@pytest.mark.parametrize(
    'changes',
    [
        dict(classes=['a', 'b']),
        dict(classes='abc def'),
        dict(classes=3),
        dict(classes=[1, 2, 3]),
        dict(classes={'a': 1}),
        dict(weight=torch.zeros(7)),
        dict(weight='text'),
        dict(weight=torch.full((3, 32, 1, 1), float('nan'))),
    ],
)
def test_parts_that_are_something_else(tmp_path, changes):
    """Of classes and weights: it works, or words say what is wrong."""
    make_files(tmp_path)
    checkpoint = torch.load(tmp_path / 'tiny.pth', weights_only=True)
    if 'classes' in changes:
        checkpoint['meta']['dataset_meta'] = changes
    else:
        checkpoint['state_dict']['head.classifier.0.weight'] = changes['weight']
    torch.save(checkpoint, tmp_path / 'odd.pth')
    try:
        inferencer = WSOLInferencer(tmp_path / 'odd.pth')
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(inferencer.classes) == 3
        assert all(isinstance(one, str) for one in inferencer.classes)
