import json
import os
import time
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from bas_mm.evaluation import DumpMaps, MapDump
from tests.helpers.samples import dump, evaluate, make_prediction, make_suite


@pytest.mark.parametrize('out', ['maps.npz', 'maps'])
def test_what_goes_in_comes_out(tmp_path, out):
    samples = [make_prediction(i) for i in range(5)]
    back = dump(tmp_path / 'deep' / out, samples, info=dict(topk=3))
    assert len(back) == 5 and list(back.entries) == [f'{i % 2}.x/{i}' for i in range(5)]
    assert back.info == dict(topk=3, classes=None)
    for sample, found in zip(samples, back.samples(), strict=True):
        for key in (
            'pred_map',
            'pred_bbox',
            'gt_bboxes',
            'gt_label',
            'gt_seg_map',
            'img_shape',
        ):
            assert np.array_equal(sample[key], found[key]), key
        assert np.array_equal(np.float32(sample['pred_score']), found['pred_score'])
        assert found['pred_map'].dtype == np.float32
    # the same figures as the samples themselves
    expected = evaluate(make_suite(), samples, 5)
    assert evaluate(make_suite(), back.samples(), 5) == pytest.approx(
        expected, abs=0, rel=0, nan_ok=True
    )
    assert 0 < expected['wsol/gt_known'] < 100


def test_what_a_sample_lacks_stays_absent(tmp_path):
    bare = {
        k: v
        for k, v in make_prediction(0).items()
        if k in ('img_path', 'img_shape', 'pred_map', 'sample_idx')
    }
    empty = make_prediction(
        1, gt_bboxes=np.zeros((0, 4)), gt_seg_map=None, pred_map=np.full((2, 2), np.nan)
    )
    first, second = dump(tmp_path / 'x', [bare, empty]).samples()
    assert set(first) == set(bare)
    assert not {'gt_bboxes', 'gt_seg_map'} & set(second)
    assert np.isnan(second['pred_map']).all()
    assert len(dump(tmp_path / 'none', [])) == 0


def test_views(tmp_path):
    views = [torch.zeros(3, 24, 24, dtype=torch.uint8) for _ in range(5)]
    for i, view in enumerate(views):
        view[0] = 40 * i  # blue
    samples = [
        DataSample(
            metainfo={
                k: v for k, v in make_prediction(i).items() if isinstance(v, (int, str))
            }
        )
        for i in range(5)
    ]
    for i, sample in enumerate(samples):
        sample.pred_map = torch.ones(2, 2)
        sample.set_field((24, 24), 'img_shape', field_type='metainfo')
        sample.set_gt_label(i)
    back = dump(tmp_path / 'x', samples, views, view_interval=2)
    names = list(back.entries)
    assert [back.view(name) is None for name in names] == [
        False,
        True,
        False,
        True,
        False,
    ]
    view = back.view(names[4]).astype(int)
    assert view.shape == (24, 24, 3)
    assert np.abs(view - (160, 0, 0)).max() <= 4
    back = dump(tmp_path / 'x', samples, views, view_interval=0)
    assert back.view(names[0]) is None
    floats = [view.float() for view in views]
    assert dump(tmp_path / 'x', samples, floats).view(names[0]) is None


def test_names_are_paths_below_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ['data/a/b/1.jpg', str(tmp_path / 'data' / '2.png'), '/c/d/3.jpg']
    samples = [make_prediction(i, img_path=path) for i, path in enumerate(paths)]
    assert list(dump('x', samples, root='data').entries) == ['a/b/1', '2', 'd/3']
    samples = [make_prediction(i, img_path=f'{i}/a/1.jpg') for i in range(2)]
    assert list(dump('x', samples, root='.').entries) == ['0/a/1', '1/a/1']
    with pytest.raises(ValueError, match="both be called 'a/1'.*`root`"):
        dump('x', samples)


def test_an_earlier_dump_is_replaced_and_nothing_else(tmp_path):
    out = tmp_path / 'x'
    dump(out, [make_prediction(i) for i in range(4)])
    (out / 'notes.txt').write_text('mine')
    assert len(dump(out, [make_prediction(9)])) == 1
    assert [p.stem for p in out.rglob('*.npy')] == ['9']
    assert (out / 'notes.txt').read_text() == 'mine'
    (tmp_path / 'y').mkdir()
    (tmp_path / 'y' / 'thesis.tex').write_text('mine')
    with pytest.raises(FileExistsError, match='is no earlier dump.*--dump'):
        DumpMaps(tmp_path / 'y')
    with pytest.raises(ValueError, match='view_interval=-1'):
        DumpMaps(tmp_path / 'z', view_interval=-1)


def test_a_file_of_maps_that_is_no_dump_stays(tmp_path):
    (tmp_path / 'x.npz').write_text('mine')
    with pytest.raises(FileExistsError, match=r"x.npz' exists.*not of an earlier dump"):
        DumpMaps(tmp_path / 'x.npz')
    assert (tmp_path / 'x.npz').read_text() == 'mine'
    (tmp_path / 'x.npz').unlink()
    dump(tmp_path / 'x.npz', [make_prediction(0)])
    assert len(dump(tmp_path / 'x.npz', [make_prediction(1)])) == 1


def test_no_map_stays_in_memory(tmp_path):
    metric = DumpMaps(tmp_path / 'x')
    for i in range(3):
        metric.process({}, [make_prediction(i, pred_map=np.ones((400, 400)))])
    assert len(json.dumps([x['entry'].decode() for _, x in metric.results])) < 3000


def join(rank, folder):
    """Make this process one of two."""
    os.chdir(folder)
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/store',
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )


def work(rank, folder):
    join(rank, folder)
    for out in ('both.npz', 'both_dir'):
        evaluator = Evaluator([DumpMaps(out)])
        for i in ([0, 2, 4], [1, 3, 0])[rank]:  # 0 again: padding
            evaluator.process([make_prediction(i)])
        evaluator.evaluate(5)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path):
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    alone = dump(tmp_path / 'alone.npz', [make_prediction(i) for i in range(5)])
    for out in ('both.npz', 'both_dir'):
        both = MapDump(tmp_path / out)
        assert list(both.entries.values()) == list(alone.entries.values())
        for a, b in zip(both.samples(), alone.samples(), strict=True):
            assert all(np.array_equal(a[k], b[k]) for k in {*a, *b})
    assert not list(tmp_path.rglob('*.part*'))


CASES = [  # out, info, failure
    ('mine', None, "FileExistsError: DumpMaps: 'mine' exists and is no earlier"),
    ('mine/thesis.tex/x', None, 'NotADirectoryError: '),
    ('new', dict(topk={3}), 'TypeError: Object of type set is not JSON'),
]


def try_to_dump(rank, folder):
    join(rank, folder)
    results = []
    for out, info, _ in CASES:
        start, failure = time.monotonic(), 'none'
        try:
            DumpMaps(out, info=info)
        except Exception as error:
            failure = f'{type(error).__name__}: {error}'
        results.append((failure, time.monotonic() - start))
    with open(f'{folder}/{rank}.json', 'w') as file:
        json.dump(results, file)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_fail_together(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.tex').write_text('mine')
    mp.spawn(try_to_dump, (str(tmp_path),), nprocs=2)
    both = [json.loads((tmp_path / f'{i}.json').read_text()) for i in range(2)]
    for (_, _, expected), one, other in zip(CASES, *both, strict=True):
        assert one[0].startswith(expected)
        assert one[0] == other[0]
        assert max(one[1], other[1]) < 10  # the time-out is 60
    assert [path.name for path in (tmp_path / 'mine').iterdir()] == ['thesis.tex']


def test_one_process_fails_with_the_error_itself(tmp_path):
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(NotADirectoryError):
        DumpMaps(tmp_path / 'file' / 'x')
    with pytest.raises(FileExistsError, match=r"file' exists and is no earlier dump"):
        DumpMaps(tmp_path / 'file')
