import pytest

from bas_mm.analysis.sweep_benchmark import get_ways
from tests.helpers.report import call


def test_the_table(capsys):
    call('benchmark-sweep', '--size', 32, '--step', 0.1, '--maps', 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '32x32, 10 thresholds, ms of CPU a map, median'
    ways = [name for way in get_ways() for name in (way, f'search/{way}')]
    assert lines[1].split() == ['map', 'contours', 'search', *ways]
    assert [line.split()[0] for line in lines[3:-1]] == [
        'one',
        *['smooth,'] * 3,
        'bumps',
        'noise',
    ]
    assert lines[-1] == 'equal at every threshold'


@pytest.mark.parametrize('name', ['size', 'maps'])
def test_nothing_to_time(capsys, name):
    with pytest.raises(SystemExit):
        call('benchmark-sweep', f'--{name}', 0)
    assert f'--{name} must be at least 1, got 0' in capsys.readouterr().err
