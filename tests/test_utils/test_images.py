import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from bas_mm.utils.images import (
    image_size,
    read_image,
    why_unreadable,
)
from bas_mm.utils.threads import run_parallel


@pytest.mark.parametrize('orientation', range(1, 9))
def test_size_as_displayed_and_as_stored(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(tmp_path / 'a.jpg')
    Image.new('RGB', (50, 40)).save(path, exif=exif)
    assert image_size(path) == ((40, 50) if orientation > 4 else (50, 40))
    assert image_size(path, turned=False) == (50, 40)
    for turned, flag in ((True, 'color'), (False, 'color_ignore_orientation')):
        height, width = read_image(path, flag).shape[:2]
        assert (width, height) == image_size(path, turned)


def test_size_of_what_is_no_image(tmp_path):
    (tmp_path / 'a.jpg').write_text('no')
    with pytest.raises(ValueError, match=r'a\.jpg. \(2 bytes\) is no image'):
        image_size(str(tmp_path / 'a.jpg'))
    with pytest.raises(FileNotFoundError, match=r'no image .*b\.jpg'):
        image_size(str(tmp_path / 'b.jpg'))


@pytest.mark.parametrize('extension', ['.jpg', '.png', '.webp', '.tiff'])
@pytest.mark.parametrize('thorough', [True, False])
def test_a_file_that_has_lost_its_end(tmp_path, extension, thorough):
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    content = cv2.imencode(extension, image)[1].tobytes()
    path = tmp_path / f'a{extension}'
    path.write_bytes(content)
    same = cv2.imread(str(path))
    np.testing.assert_array_equal(read_image(path, thorough=thorough), same)
    assert why_unreadable(str(path)) is None
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf'a\{extension}. \(\d+ bytes\) is '):
        read_image(path, thorough=thorough)
    assert f'a{extension}' in why_unreadable(str(path))


def test_padding_after_the_end_is_no_damage(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(
        cv2.imencode('.jpg', np.zeros((9, 9, 3), np.uint8))[1].tobytes() + bytes(999)
    )
    assert read_image(path, thorough=False).shape == (9, 9, 3)


def test_filters_of_warnings_stay_as_they_are(tmp_path):
    """Threads that read share them."""
    path = str(tmp_path / 'a.png')
    Image.new('RGB', (90, 90)).save(path)
    before = list(warnings.filters)
    assert not any(run_parallel(why_unreadable, [path] * 200, workers=8))
    assert warnings.filters == before
