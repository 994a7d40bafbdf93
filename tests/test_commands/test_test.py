"""Testing from the command line, on a tiny stock classifier."""

import json

import pytest
import torch
from mmengine.fileio import load

from tests.helpers.classifier import read_weights
from tests.helpers.commands import TOOLS, call, run
from tests.helpers.tiny import save, write_config

WORDS = ('tiny.py', 'one/epoch_2.pth')
DATA = ('--data-root', 'data')


def test_metrics_and_drawings_of_one_and_two_processes(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    out = ('--work-dir', 'alone', '--out', 'alone.json', '--show-dir', 'drawings')
    call('test', *WORDS, *DATA, *out)
    metrics = json.loads((trained / 'alone.json').read_text())
    accuracy = metrics['accuracy/top1']
    table = capsys.readouterr().out
    (row,) = [x for x in table.splitlines() if x.split()[:1] == ['accuracy/top1']]
    assert row.split()[1] == f'{accuracy:.4f}'
    drawings = sorted(p.name for p in (trained / 'drawings').iterdir())
    assert len(drawings) == 9

    out = ('--work-dir', 'both', '--out', 'both.json', '--show-dir', 'drawings2')
    run(trained, TOOLS / 'dist_test.sh', *WORDS, 2, *DATA, *out)
    assert json.loads((trained / 'both.json').read_text()) == metrics
    assert sorted(p.name for p in (trained / 'drawings2').iterdir()) == drawings


def test_predictions_are_written(trained, monkeypatch):
    monkeypatch.chdir(trained)
    call('test', *WORDS, *DATA, '--work-dir', 'pred', '--out', 'pred.pkl')
    predictions = load('pred.pkl')
    assert len(predictions) == 9
    assert predictions[4]['gt_label'].tolist() == [1]


@pytest.mark.parametrize(
    'options, message',
    [
        (['--out-item', 'pred'], 'give --out FILE too'),
        (['--out', 'a.json', '--out-item', 'pred'], 'ends in .pkl'),
        (['--out', 'a.txt'], 'ends in .json, .yaml or .pkl'),
        (['--bootstrap', '-1'], '--bootstrap must be at least 0, got -1'),
        (['--interval', '0'], '--interval must be at least 1, got 0'),
    ],
)
def test_wrong_options(capsys, options, message):
    with pytest.raises(SystemExit):
        call('test', 'tiny.py', 'x.pth', *options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('option, name', [('--out', 'q.json'), ('--show-dir', 'q')])
def test_an_output_that_cannot_be_is_told_first(tmp_path, option, name):
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit, match=f'file is not a folder.*{option}'):
        call('test', 'no.py', 'no.pth', option, tmp_path / 'file' / name)


def test_a_checkpoint_that_fits_nothing_stops_with_a_message(trained, monkeypatch):
    """Figures of random weights would follow."""
    monkeypatch.chdir(trained)
    weights = read_weights(WORDS[1])
    part = {key: value for key, value in weights.items() if 'layer3' not in key}
    shape = {**weights, 'head.fc.weight': weights['head.fc.weight'][:2]}
    for name, state, message in (
        ('other', {'net.a': weights['head.fc.bias']}, r'other.pth.*are missing'),
        ('part', part, r'are missing \(backbone\.layer3'),
        ('shape', shape, r'1 have another shape \(head\.fc\.weight\)'),
        ('more', {**weights, 'more': torch.zeros(1)}, r'1 are unknown \(more\)'),
    ):
        torch.save({'state_dict': state}, f'{name}.pth')
        with pytest.raises(SystemExit, match=message):
            call('test', 'tiny.py', f'{name}.pth', *DATA, '--work-dir', name)


def test_without_a_checkpoint_where_the_config_names_all_weights(
    trained, monkeypatch, capsys
):
    monkeypatch.chdir(trained)
    call('test', *WORDS, *DATA, '--work-dir', 'with', '--out', 'with.json')
    out = ('--work-dir', 'without', '--out', 'without.json')
    init = (
        '--cfg-options',
        'model.init_cfg.type=Pretrained',
        f'model.init_cfg.checkpoint={WORDS[1]}',
    )
    call('test', 'tiny.py', *DATA, *out, *init)
    assert load('without.json') == load('with.json')
    with pytest.raises(SystemExit):
        call('test', 'tiny.py', *DATA, *out)
    assert 'a CHECKPOINT is needed: tiny.py names no weights' in capsys.readouterr().err
    # a head of another number of classes would stay as it was drawn
    init += ('model.head.num_classes=4',)
    with pytest.raises(
        SystemExit, match=r"epoch_2.pth' .* 2 weights of `model` \(head"
    ):
        call('test', 'tiny.py', *DATA, *out, *init)


def test_fast_with_a_stock_classifier(trained, monkeypatch):
    monkeypatch.chdir(trained)
    monkeypatch.setattr('bas_mm.apis.fast.has_bf16', lambda device: True)
    for name, options in (('plain', ()), ('fast', ('--fast',))):
        out = ('--work-dir', name, '--out', f'{name}.pkl')
        call('test', *WORDS, *DATA, *out, *options)
    plain, fast = (
        torch.stack([one['pred_score'].float() for one in load(f'{name}.pkl')])
        for name in ('plain', 'fast')
    )
    torch.testing.assert_close(fast, plain, rtol=0, atol=0.02)
    assert not torch.equal(fast, plain)


def test_fast_folds_once_the_weights_are_there(tmp_path, monkeypatch):
    config = write_config(tmp_path)
    weights = save(config, tmp_path / 'bas.pth')
    monkeypatch.setattr('bas_mm.apis.fast.has_bf16', lambda device: False)
    found = {}
    for name, options in (('plain', ()), ('fast', ('--fast',))):
        out = ('--work-dir', tmp_path / name, '--out', tmp_path / f'{name}.pkl')
        call('test', config, weights, *map(str, out), *options)
        found[name] = load(tmp_path / f'{name}.pkl')
    for fast, plain in zip(found['fast'], found['plain'], strict=True):
        for key in ('pred_score', 'pred_map'):
            torch.testing.assert_close(fast[key], plain[key], rtol=1e-3, atol=1e-4)
    maps = [torch.stack([x['pred_map'] for x in one]) for one in found.values()]
    assert not torch.equal(*maps)


def test_what_is_not_fast(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    more = "custom_hooks.append(dict(type='EMAHook'))"
    (trained / 'ema.py').write_text(f'{(trained / "tiny.py").read_text()}\n{more}\n')
    words = ('ema.py', WORDS[1], *DATA, '--work-dir', 'ema')
    with pytest.raises(SystemExit, match='ema.py has an EMAHook.*leave --fast out'):
        call('test', *words, '--fast')
    with pytest.raises(SystemExit):
        call('test', *WORDS, *DATA, '--fast', '--amp')
    assert '--fast and --amp choose' in capsys.readouterr().err
