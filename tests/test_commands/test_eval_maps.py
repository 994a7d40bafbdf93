import json

import numpy as np
import pytest

from bas_mm.evaluation.saved_maps import evaluate_maps, read_samples
from tests.helpers.report import call
from tests.helpers.saved_maps import SIZE, make_files


def test_options_reach_the_metrics(tmp_path, capsys):
    make_files(tmp_path)
    files = (tmp_path / 'maps', tmp_path / 'boxes.csv')
    result = tmp_path / 'new' / 'a.json'
    call(
        'eval-maps',
        *files,
        *('--size', *SIZE, '--masks', tmp_path / 'masks', '--foreground', 7),
        *('--scores', tmp_path / 'scores.npz', '--threshold', 0.4, '--step', 0.05),
        *('--pxap-step', 0.1, '--resize', 'bicubic', '--json', result, '--all'),
    )
    expected = evaluate_maps(
        read_samples(*files, SIZE, tmp_path / 'masks', 7),
        threshold=0.4,
        step=0.05,
        pxap_step=0.1,
        resize='bicubic',
        scores=str(tmp_path / 'scores.npz'),
    )
    found = json.loads(result.read_text())
    assert found == {k: None if np.isnan(v) else v for k, v in expected.items()}
    assert None in found.values()  # sizes of no image
    printed = dict(
        row.split() for row in capsys.readouterr().out.splitlines() if 'wsol' in row
    )
    assert printed['wsol/num_images'] == '6'
    assert printed['wsol/pxap'] == f'{expected["wsol/pxap"]:.4f}'
    assert list(printed) == list(expected)


def test_a_folder_of_the_benchmark(tmp_path):
    """Maps as ``<image>.jpg.npy`` give the figures of ``<image>.npy``."""
    maps, _ = make_files(tmp_path)
    for name, pred_map in maps.items():
        file = tmp_path / 'scoremaps' / 'test' / f'{name}.npy'
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, pred_map)
    for folder in ('maps', 'scoremaps'):
        files = (tmp_path / folder, tmp_path / 'boxes.csv')
        call('eval-maps', *files, '--json', tmp_path / f'{folder}.json')
    found = (tmp_path / 'scoremaps.json').read_text()
    assert found == (tmp_path / 'maps.json').read_text()
    assert json.loads(found)['wsol/num_images'] == 6


def test_named_threshold(tmp_path, capsys):
    make_files(tmp_path)
    files = (tmp_path / 'maps', tmp_path / 'boxes.csv')
    result = tmp_path / 'a.json'
    call('eval-maps', *files, '--threshold', 'otsu', '--json', result)
    expected = evaluate_maps(read_samples(*files), threshold='otsu', masks=False)
    found = json.loads(result.read_text())
    assert found == {k: None if np.isnan(v) else v for k, v in expected.items()}
    for value in ('best', '2'):
        message = "`--threshold` must be between 0 and 1, or 'otsu'"
        with pytest.raises(SystemExit, match=message):
            call('eval-maps', *files, '--threshold', value)


def test_an_image_without_a_map_ends_in_one_line(tmp_path):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    (tmp_path / 'b.csv').write_text('image\nb\n')
    message = "^ValueError: maps=.*: no entries for the image 'b'; exactly one"
    with pytest.raises(SystemExit, match=message):
        call('eval-maps', tmp_path / 'm.npz', tmp_path / 'b.csv')


def test_the_threshold_of_a_dump_is_taken(tmp_path, capsys):
    pred_map = np.full((10, 10), 0.2)
    pred_map[2:8, 2:8], pred_map[4:6, 4:6], pred_map[0, 0] = 0.5, 1, 0
    np.savez(tmp_path / 'm.npz', a=pred_map)
    text = json.dumps([dict(image='a', label=0, boxes=[[2, 2, 8, 8]])])
    for name in ('samples.json', 'other.json'):
        (tmp_path / name).write_text(text)
    (tmp_path / 'run.json').write_text(json.dumps(dict(threshold=0.4)))

    def figure(*words):
        result = tmp_path / 'a.json'
        call('eval-maps', tmp_path / 'm.npz', *words, '--json', result)
        said = capsys.readouterr().out
        return json.loads(result.read_text())['wsol/gt_known'], said

    found, said = figure(tmp_path / 'samples.json')
    assert found == 100 and 'maps cut at 0.4 (as ' in said
    found, said = figure(tmp_path / 'samples.json', '--threshold', 0.7)
    assert found == 0 and 'maps cut at 0.7 (--threshold)' in said
    found, said = figure(tmp_path / 'other.json')  # no list of a dump
    assert found == 0 and 'maps cut at 0.15 (the default' in said
    run = dict(threshold=0.4, percentile=90)
    (tmp_path / 'run.json').write_text(json.dumps(run))
    _, said = figure(tmp_path / 'samples.json')
    assert 'cut at 0.15 (the default; ' in said and 'share of a percentile' in said


def test_the_output_and_the_boxes_are_tried_first(tmp_path):
    make_files(tmp_path)
    (tmp_path / 'file').write_text('')
    files = (tmp_path / 'maps', tmp_path / 'boxes.csv')
    with pytest.raises(SystemExit, match='--json'):
        call('eval-maps', *files, '--json', tmp_path / 'file' / 'x.json')
    with pytest.raises(SystemExit, match="boxes='.*none.csv': there is no such file"):
        call('eval-maps', files[0], tmp_path / 'none.csv')
