"""``bas-mm browse``."""

import cv2
import pytest

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
    broken.write_bytes(b'no picture')
    try:
        call('browse', config, '--num', 9, '--out-dir', tmp_path, '--on-error', 'skip')
        text = capsys.readouterr().out
        assert '8 drawn' in text and f'1 skipped:\n    {broken}' in text
        with pytest.raises(Exception):  # noqa: B017  the loader's own
            call('browse', config, '--num', 9, '--out-dir', tmp_path)
    finally:
        broken.write_bytes(whole)
