"""Rules for the threshold, measured with boxes, on tiny runs."""

import json

import numpy as np
import pytest
import torch

from bas_mm.analysis import threshold_rules as rules
from bas_mm.analysis.calibration import localize, training_views
from bas_mm.analysis.calibration_study import (
    correlation_table,
    method_table,
    rank_correlation,
    regret_table,
)
from bas_mm.localization import cut_of
from tests.helpers.commands import call
from tests.helpers.tiny import build, write_config


@pytest.mark.parametrize('name', rules.MAP_RULES)
def test_rules_part_two_levels(name):
    """A third of the map at 0.9, the rest at 0.1."""
    array = np.full((12, 12), 0.1, np.float32)
    array[:, :4] = 0.9
    cut = rules.MAP_RULES[name](array)
    low = 0.0 if name in ('triangle', '0.5 otsu') else 0.05
    assert low <= cut <= 0.9


def test_cross_entropy_by_exhaustion():
    rng = np.random.default_rng(0)
    array = np.concatenate([rng.beta(2, 9, 700), rng.beta(7, 3, 300)])[None]

    def loss(cut):
        above, below = array[array > cut], array[array <= cut]
        return -sum(float(part.sum() * np.log(part.mean())) for part in (above, below))

    grid = np.linspace(0.1, 0.9, 401)
    best = grid[np.argmin([loss(t) for t in grid])]
    assert rules.cross_entropy(array) == pytest.approx(best, abs=0.02)


def test_max_entropy_by_exhaustion():
    rng = np.random.default_rng(0)
    array = np.concatenate([rng.beta(2, 9, 700), rng.beta(7, 3, 300)])[None]
    share = np.histogram(array, 64, (0, 1))[0] / array.size

    def entropy(part):
        p = part[part > 0] / part.sum()
        return -(p * np.log(p)).sum()

    sums = [
        entropy(share[:i]) + entropy(share[i:])
        for i in range(1, 64)
        if share[:i].sum() > 0 and share[i:].sum() > 0
    ]
    first = next(i for i in range(1, 64) if share[:i].sum() > 0)
    assert rules.max_entropy(array) == (int(np.argmax(sums)) + first) / 64


def test_constant_maps_have_a_cut():
    for rule in rules.MAP_RULES.values():
        assert 0 <= rule(np.zeros((4, 4), np.float32)) <= 1


def test_last_above():
    assert rules.last_above(np.zeros(len(rules.GRID)), 0.5) == rules.GRID[0]
    assert rules.last_above(np.ones(len(rules.GRID)), 0.5) == rules.GRID[-1]


def test_curves_end_where_they_must(tmp_path):
    """The score in a box that is the view is the score of the view."""
    cfg, model = build(write_config(tmp_path))
    (views,) = training_views(cfg, model, 4)
    maps = localize(model, views).maps
    curve = rules.activation_curve(model, views, maps)
    assert curve.shape == (4, len(rules.GRID)) and curve.max() <= 1
    whole = [np.zeros((2, 2))] * 4  # a constant map: its box is the view
    inside, _ = rules.score_curves(model, views, whole)
    with torch.no_grad():
        scores = model(views.inputs, mode='tensor').softmax(1)
    own = [float(row[int(s.gt_label)]) for row, s in zip(scores, views.samples)]
    np.testing.assert_allclose(inside, np.tile(own, (len(rules.GRID), 1)).T, 1e-4)


def test_rank_correlation_with_ties():
    assert rank_correlation([1, 2, 2, 4], [1, 2, 2, 4]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # ranks 1, 2.5, 2.5, 4 with 1, 2, 3, 4, by hand
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(
        4.5 / np.sqrt(4.5 * 5)
    )
    assert np.isnan(rank_correlation([1, 1], [1, 2]))


def record(best, **found):
    criteria = dict.fromkeys(
        ('threshold', 'area', 'score', 'insertion', 'deletion', 'flip', 'scale'), 0.5
    )
    return dict(
        data='birds',
        method='BAS',
        best=best,
        best_t=0.3,
        rules=found,
        criteria=criteria,
    )


def test_regrets():
    records = [
        record(90.0, otsu=88.0, mean=90.0),
        record(80.0, otsu=79.0, mean=70.0),
    ]
    lines = regret_table(records).splitlines()
    assert '85.0 (0.30)' in lines[2]
    assert [cell.strip() for cell in lines[3].split('|')[1:-1]] == [
        'otsu', '1.5', '1.5', '2.0',
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[4].split('|')[1:-1]] == [
        'mean', '5.0', '5.0', '10.0',
    ]  # fmt: skip


def test_correlations():
    records = [
        record(90.0, **{'0.65 otsu, training mean': v}) for v in (60.0, 70.0, 80.0)
    ]
    for i, one in enumerate(records):
        one['criteria'] = dict(one['criteria'], flip=i / 10, area=i / 10)
    rows = {
        line.split('|')[1].strip(): line.split('|')[-2].strip()
        for line in correlation_table(records).splitlines()[2:]
    }
    assert rows['flip'] == '1.00' and rows['less area'] == '-1.00'
    assert rows['scale'] == 'nan'


def test_methods():
    cam, bas = (
        dict(
            record(90.0, **{'0.65 otsu, training mean': at, '0.2': 50.0}),
            method=name,
            num_images=4,
            hits=hits,
            cuts={'0.65 otsu, training mean': 0.25},
        )
        for name, at, hits in (('CAM', 50.0, [1, 1, 0, 0]), ('BAS', 100.0, [1] * 4))
    )
    row = [c.strip() for c in method_table([cam, bas]).splitlines()[3].split('|')]
    assert row[1:8] == 'birds;BAS;1;100.0 ± 0.0;0.25;50.0 ± 0.0;90.0 ± 0.0'.split(';')
    assert row[8] == '+50.0 [0.0, 100.0]'
    other = dict(bas, num_images=3, hits=[1] * 3)
    assert 'other images' in method_table([cam, other])


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for method in ('BAS', 'CAM'):
        name = write_config(tmp_path, method).name
        call('train', name, '--seed', '0', '--work-dir', method, '--no-validate')
    words = ('calibration-study', 'BAS', 'CAM', '--out-dir', 'out', '--images', '4')
    call(*words)
    printed = capsys.readouterr().out
    assert '0.65 otsu, training mean' in printed and 'insertion - deletion' in printed
    found = json.loads((tmp_path / 'out' / 'BAS.json').read_text())
    assert found['num_images'] == 9 and found['method'] == 'BAS'
    assert found['best'] == max(found['curve']) >= max(found['rules'].values()) - 12
    assert 0 < found['cuts']['otsu'] < 1
    assert found['rules']['0.2'] == pytest.approx(found['curve'][20])
    assert found['cuts']['0.65 otsu'] == pytest.approx(0.65 * found['cuts']['otsu'])
    assert cut_of(np.eye(4), 'auto') == pytest.approx(0.65 * cut_of(np.eye(4), 'otsu'))
    (tmp_path / 'BAS' / 'epoch_2.pth').unlink()
    call(*words)  # what is known is not computed again


def test_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SystemExit, match='no work dir of a training: it has no config'):
        call('calibration-study', 'empty')
