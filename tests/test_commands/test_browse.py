"""``bas-mm browse``."""

import cv2
import numpy as np
import pytest
from mmpretrain.structures import DataSample

from bas_mm.commands.browse import check_sample
from tests.helpers.commands import call
from tests.helpers.tiny import write_config


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('browse'))


@pytest.mark.parametrize('split', ['train', 'test'])
def test_command(config, tmp_path, capsys, split):
    call('browse', config, '--split', split, '--num', 4, '--out-dir', tmp_path)
    text = capsys.readouterr().out
    assert f'9 images in {split}, 3 classes; 4 drawn' in text
    files = sorted(p.name for p in tmp_path.iterdir())
    assert len(files) == 5 and files[-1] == 'sheet.png'
    red = cv2.imread(str(tmp_path / 'sheet.png')).astype(int)
    red = (red[..., 2] > 200) & (red[..., 0] < 60) & (red[..., 1] < 60)
    assert red.sum() > 200  # boxes


def test_unreadable_image(config, tmp_path, capsys):
    root = config.parent / 'toy'
    broken = sorted((root / 'images').rglob('train*.jpg'))[0]
    whole = broken.read_bytes()
    broken.write_bytes(b'no image')
    try:
        call('browse', config, '--num', 9, '--out-dir', tmp_path, '--on-error', 'skip')
        text = capsys.readouterr().out
        assert '8 drawn' in text and f'1 skipped:\n    {broken}' in text
        for content in (b'no image', b''):
            broken.write_bytes(content)
            with pytest.raises(SystemExit) as caught:
                call('browse', config, '--num', 9, '--out-dir', tmp_path)
            text = str(caught.value)
            assert text.startswith(f'OSError: {broken} cannot be loaded (')
            assert '`--on-error skip`' in text and '\n' not in text
    finally:
        broken.write_bytes(whole)


@pytest.mark.parametrize('option', ['--num', '--cols'])
def test_options_are_checked_first(config, tmp_path, option):
    out = tmp_path / 'out'
    with pytest.raises(SystemExit, match=f'{option} must be at least 1, got 0'):
        call('browse', config, '--out-dir', out, option, 0)
    assert not out.exists()


def test_notes():
    sample = DataSample()
    assert check_sample(sample) == ['without boxes']
    sample.gt_bboxes = np.zeros((0, 4))
    assert check_sample(sample) == ['without boxes']
    sample.gt_bboxes = np.array([[1, 2, 3, 4]])
    assert check_sample(sample) == []
    sample.gt_bboxes = np.array([[1, 2, 3, 4], [0, 0, 0, 0]])
    sample.gt_seg_map = np.full((4, 4), 255, np.uint8)
    assert check_sample(sample) == [
        'with a box that the view has lost',
        'with an empty mask',
    ]
    sample.gt_seg_map[0, 0] = 1
    assert check_sample(sample) == ['with a box that the view has lost']


def test_split_that_is_not_there(config, tmp_path):
    with pytest.raises(SystemExit, match='no `val_dataloader`: choose another --split'):
        words = ('--split', 'val', '--cfg-options', 'val_dataloader=None')
        call('browse', config, '--out-dir', tmp_path, *words)
