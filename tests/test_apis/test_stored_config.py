"""A config in a checkpoint is data: nothing in it is run."""

import ast

import pytest
from mmengine.config import Config

from bas_mm.apis import stored_config
from bas_mm.apis.stored_config import read_literal

DATA = """
test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize',
                                                   scale=(4, 4))]))
"""


def read(text):
    return stored_config(dict(meta=dict(cfg=text)), 'x.pth')


def test_reads_what_the_runner_writes(files):
    text = Config.fromfile(files / 'tiny.py').pretty_text
    cfg = read(text)
    expected = Config.fromstring(text, '.py')
    assert cfg.model == expected.model
    assert cfg.test_dataloader == expected.test_dataloader


def test_weights_are_not_fetched_again():
    cfg = read(
        "model = dict(type='bas_mm.CAMClassifier', backbone=dict("
        "type='VGG', init_cfg=dict(type='Pretrained', "
        "checkpoint='http://x/y.pth')), pretrained='http://x')" + DATA
    )
    assert 'init_cfg' not in cfg.model.backbone
    assert 'pretrained' not in cfg.model


@pytest.mark.parametrize(
    'text',
    [
        "model = __import__('os').system('true')",
        "model = dict(type='bas_mm.CAMClassifier', depth=open('/etc/hosts'))",
        "model = dict(type='bas_mm.CAMClassifier', x=[i for i in range(9)])",
        "model = dict(**{'a': 1})(2)",
        "model = dict(**{'type': 'bas_mm.CAMClassifier'})",
        "model = {**{'type': 'bas_mm.CAMClassifier'}}",
        'model = (',
        "other = 1",
    ],
)
def test_more_than_data_is_refused(text):
    with pytest.raises(
        ValueError, match='x.pth.*cannot be read as plain data.*Give the config'
    ):
        read(text + DATA)


@pytest.mark.parametrize(
    'name',
    [
        'os.system',
        'subprocess.run',
        'mmengine.load',
        'builtins.eval',
        'torch.hub.load',
        'HuggingFaceClassifier',
        'TIMMBackbone',
        'antigravity',
    ],
)
def test_parts_that_are_no_layers_are_refused(name):
    with pytest.raises(ValueError, match=f'asks for {name!r}'):
        read(
            "model = dict(type='bas_mm.CAMClassifier', "
            f"backbone=dict(type={name!r}))" + DATA
        )
    with pytest.raises(ValueError, match=f'asks for {name!r}'):
        read(
            "model = dict(type='bas_mm.CAMClassifier')\n"
            'test_dataloader = dict(dataset=dict(pipeline=['
            f'dict(type={name!r})]))'
        )


def test_checkpoints_without_config():
    for checkpoint in (dict(), dict(meta={}), dict(meta=dict(cfg=3))):
        with pytest.raises(ValueError, match='does not carry its config'):
            stored_config(checkpoint, 'x.pth')


def test_values():
    for text in (
        '[1, -2.5, 1e-5, None, True]',
        "dict(a=(1, ), b={'c': 2})",
        "dict({'a.b': dict(c=1)})",
        'set([1, 2])',
        '{1, 2}',
        '-inf',
    ):
        expected = eval(text, {'inf': float('inf')})
        assert read_literal(ast.parse(text, mode='eval').body) == expected
