"""docs/new_method.md, exactly as it is written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS

from tests.helpers.models import build_model, make_samples

PAGE = Path(__file__).parents[2] / 'docs' / 'new_method.md'
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


def blocks(language):
    """Titles and texts of the page's blocks of a language."""
    return [
        (t, text)
        for lang, t, text in BLOCK.findall(PAGE.read_text())
        if lang == language
    ]


@pytest.mark.slow
def test_the_method_trains_and_localizes_as_written(tmp_path):
    """Two files in an empty folder and the commands, in a shell."""
    console = Path(sys.executable).with_name('bas-mm')
    if not console.exists():
        pytest.skip(f'the package is not installed beside {sys.executable}')
    files = [(title, text) for title, text in blocks('python') if title]
    assert [title for title, _ in files] == ['adl.py', 'adl_toy.py']
    for title, text in files:
        (tmp_path / title).write_text(text)
    ((_, commands),) = blocks('bash')
    path = os.pathsep.join([str(console.parent), os.environ['PATH']])
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', commands],
        cwd=tmp_path,
        env={**os.environ, 'PATH': path, 'CUDA_VISIBLE_DEVICES': ''},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    metrics = json.loads((tmp_path / 'adl.json').read_text())
    assert metrics['wsol/num_images'] == 120
    assert metrics['wsol/top1_cls'] > 30  # chance: 17
    (drawing,) = (tmp_path / 'localized').glob('*.jpg')
    assert drawing.stat().st_size > 1000
    # the layer was there while it trained, and its checkpoint is a CAM's
    log = next((tmp_path / 'work_dirs' / 'adl_toy').glob('*/*.log')).read_text()
    assert 'AttentionDropout' in log
    keys = torch.load(tmp_path / 'work_dirs/adl_toy/epoch_1.pth', weights_only=False)
    assert not any(key.startswith('neck.') for key in keys['state_dict'])


def test_the_layer_does_what_the_page_says():
    (_, text), *_ = blocks('python')
    space = {}
    exec(text.replace('@MODELS.register_module()\n', ''), space)
    layer = space['AttentionDropout'](drop_rate=1.0, threshold=0.5)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]]])
    dropped = layer(x)
    assert dropped[0, 0].tolist() == [[1, 0], [0, 0]]  # below 0.5 of 4
    layer.drop_rate = 0.0
    torch.testing.assert_close(layer(x), x * x[:, :1].sigmoid())
    assert layer.eval()(x) is x


def test_the_head_of_the_page_trains():
    *_, (_, text) = blocks('python')
    exec(text, {})
    model = build_model('CAM', 'mobilenet-v1', type='ErasingHead').train()
    losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(0, 1))
    assert set(losses) == {'loss_cls', 'loss_erased', 'acc', 'peak_logit'}
    assert losses['loss_erased'] != losses['loss_cls']
    (losses['loss_cls'] + losses['loss_erased']).backward()
    assert all(p.grad is not None for p in model.parameters())
    del MODELS.module_dict['ErasingHead']
