import numpy as np
import pytest

from bas_mm.evaluation import DumpMaps, MapDump
from tests.helpers.samples import dump, make_prediction


@pytest.mark.parametrize('out', ['maps.npz', 'maps'])
def test_chosen_images(tmp_path, out):
    samples = [make_prediction(i) for i in range(4)]
    back = dump(tmp_path / out, samples)
    found = list(back.samples(['1.x/3', '0.x/0']))
    assert [x['sample_idx'] for x in found] == [0, 1]
    for sample, other in zip((samples[3], samples[0]), found):
        assert np.array_equal(sample['pred_map'], other['pred_map'])
        assert other['gt_label'] == sample['gt_label']
    assert list(back.samples([])) == []
    with pytest.raises(KeyError, match='0.x/9'):
        list(back.samples(['0.x/9']))


def test_the_folder_beside_an_archive(tmp_path):
    samples = [make_prediction(i) for i in range(2)]
    dump(tmp_path / 'x.npz', samples)
    (found, _) = MapDump(tmp_path / 'x').samples()
    assert np.array_equal(found['pred_map'], samples[0]['pred_map'])


def test_unfinished_and_missing_dumps(tmp_path):
    unfinished = DumpMaps(tmp_path / 'x')
    unfinished.process({}, [make_prediction(0)])
    with pytest.raises(FileNotFoundError, match=r'no finished dump.*samples\.json'):
        MapDump(tmp_path / 'x')
    for out in ('none', 'none.npz'):
        with pytest.raises(FileNotFoundError, match=f'{out}.* no finished .*--dump'):
            MapDump(tmp_path / out)
    dump(tmp_path / 'y.npz', [make_prediction(0)])
    (tmp_path / 'y.npz').unlink()
    with pytest.raises(FileNotFoundError, match=r'no finished dump \(.*y\.npz is'):
        MapDump(tmp_path / 'y.npz')


def test_damaged_files_are_named(tmp_path):
    back = dump(tmp_path / 'x', [make_prediction(0)])
    (tmp_path / 'x/masks/0.x/0.png').write_bytes(b'nothing')
    with pytest.raises(ValueError, match=r"0\.png' is no image that can be read"):
        list(back.samples())
