import json

import pytest

from tests.helpers.report import call
from tests.helpers.tiny import write_config


def test_the_table(tmp_path, capsys):
    config = write_config(tmp_path)
    call('benchmark', 'train', config, '--steps', 1, '--out', tmp_path / 'out.md')
    title, header, _, *rows, note = capsys.readouterr().out.splitlines()
    assert title == f'{config}, batches of 5, cpu, median step'
    assert header.split()[:3] == ['step', 'ms', 'images/s']
    assert header.split()[-3:] == ['GFLOP', 'floor', 'ratio']
    assert [row.split()[0] for row in rows] == ['bas_mm', 'plain']
    ours, plain = json.loads((tmp_path / 'out.json').read_text())['steps']
    ratio, bound = plain['step'] / ours['step'], plain['flops'] / ours['flops']
    assert rows[0].split()[-2:] == [f'{ours["floor"]:.0%}', f'{ratio:.2f}']
    assert f'computes {bound:.3f} times as much' in note
    assert f'reaches {ratio / bound:.0%} ' in note
    text = (tmp_path / 'out.md').read_text()
    assert text.startswith(title) and '| plain' in text and note in text
    assert f'`bas-mm benchmark train {config} --steps 1' in text


def test_a_wrong_name_of_the_output(capsys):
    with pytest.raises(SystemExit):
        call('benchmark', 'train', 'x.py', '--out', 'table.txt')
    assert '--out must end in .md, got table.txt' in capsys.readouterr().err


def test_inference_and_test(tmp_path, capsys):
    config = write_config(tmp_path)
    names = {
        'infer': ['bas_mm', 'bas_mm --fast', 'plain', 'CAM'],
        'test': ['bas_mm', 'plain'],
    }
    for what, ways in names.items():
        out = tmp_path / f'{what}.md'
        words = ('--steps', 1, '--batch-size', 1, 2, '--out', out)
        call('benchmark', what, config, *words)
        title, header, _, *rows = capsys.readouterr().out.splitlines()
        assert title == f'{config}, cpu, median of 1'
        assert header.split()[:3] == ['way', 'batch', 'ms/image']
        content = json.loads(out.with_suffix('.json').read_text())
        found = [one for one in content['ways'] if one['name'] != 'GradCAM']
        assert [one['name'] for one in found] == 2 * ways
        sizes = [one['batch_size'] for one in found]
        assert sizes == [1] * len(ways) + [2] * len(ways)
        plain = [one for one in content['ways'] if one['name'] == 'plain'][0]
        first = content['ways'][0]
        assert rows[0].split()[-1] == f'{plain["seconds"] / first["seconds"]:.2f}'
        assert len(content['notes']) == (2 if what == 'infer' else 0)
        assert all(note in out.read_text() for note in content['notes'])


def test_loading(tmp_path, capsys):
    config = write_config(tmp_path)
    call('benchmark', 'data', config, '--images', 2, '--out', tmp_path / 'out.md')
    title, header, _, *rows = capsys.readouterr().out.splitlines()
    assert title == f'{config}, 2 images of each split'
    assert header.split() == ['split', 'step', 'ms', 'share', 'images/s']
    steps = json.loads((tmp_path / 'out.json').read_text())['steps']
    assert len(rows) == len(steps) == 14
    assert rows[0].split()[:3] == [
        'train',
        'LoadImageFromFile',
        f'{steps[0]["ms"]:.2f}',
    ]


def test_the_sweep_is_that_of_the_other_command(tmp_path, capsys):
    words = ('--size', 32, '--step', 0.1, '--maps', 1, '--out', tmp_path / 'out.md')
    call('benchmark', 'sweep', *words)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] in (tmp_path / 'out.md').read_text()
    content = json.loads((tmp_path / 'out.json').read_text())
    assert (content['size'], content['thresholds']) == (32, 10)
    first = content['maps'][0]
    assert lines[3].startswith(f' {first["kind"]}')
    assert f'{first["ways"]["NumPy"]:.2f}' in lines[3]
    assert lines[0] == '32x32, 10 thresholds, ms of CPU a map, median'
    assert lines[-1] == 'equal at every threshold'


@pytest.mark.parametrize(
    'words, message',
    [
        (['infer'], 'infer times a config: give its file, or its name'),
        (['sweep', 'x.py'], 'CONFIG is not for sweep: leave it out'),
        (['data', 'x.py', '--batch-size', '4'], '--batch-size is not for data'),
        (['train', 'x.py', '--maps', '4'], '--maps is not for train: leave it out'),
        (['sweep', '--steps', '2'], '--steps is not for sweep: leave it out'),
        (
            ['infer', 'x.py', '--batch-size', '4', '0'],
            '--batch-size must be at least 1',
        ),
        (['data', 'x.py', '--images', '0'], '--images must be at least 1, got 0'),
        (['box'], 'invalid choice'),
        (['index', 'x.py', '--steps', '4'], '--steps is not for index'),
    ],
)
def test_options_of_another_benchmark(capsys, words, message):
    with pytest.raises(SystemExit):
        call('benchmark', *words)
    assert message in capsys.readouterr().err
