import json

import pytest

from tests.helpers.report import call
from tests.helpers.tiny import write_config


def test_the_table(tmp_path, capsys):
    config = write_config(tmp_path)
    call('benchmark', 'train', config, '--steps', 1, '--out', tmp_path / 'out.md')
    title, header, _, *rows = capsys.readouterr().out.splitlines()
    assert title == f'{config}, batches of 5, cpu, median step'
    assert header.split()[:3] == ['step', 'ms', 'images/s']
    assert [row.split()[0] for row in rows] == ['bas_mm', 'plain']
    ours, plain = json.loads((tmp_path / 'out.json').read_text())['steps']
    assert rows[0].split()[-1] == f'{plain["step"] / ours["step"]:.2f}'
    text = (tmp_path / 'out.md').read_text()
    assert text.startswith(title) and '| plain' in text
    assert f'`bas-mm benchmark train {config} --steps 1' in text


def test_a_wrong_name_of_the_output(capsys):
    with pytest.raises(SystemExit):
        call('benchmark', 'train', 'x.py', '--out', 'table.txt')
    assert '--out must end in .md, got table.txt' in capsys.readouterr().err
