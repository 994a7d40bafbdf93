"""Images found and read, and their views."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

from bas_mm.apis import list_images, load_image
from bas_mm.apis.images import Viewer

RESIZE = dict(type='Resize', scale=(64, 64), backend='pillow')
CROP = dict(type='CenterCrop', crop_size=48)
PACK = dict(type='bas_mm.PackLocInputs')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def test_sixteen_bits_gray_and_alpha(write):
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    color = np.repeat(gray[..., None], 3, 2)
    for name, array in dict(
        gray=gray,
        one=gray[..., None],
        deep=(gray.astype(np.uint16) << 8) + 99,
        color=color,
        alpha=np.dstack([color, np.full_like(gray, 128)]),
    ).items():
        for source in (array, write(f'{name}.png', array)):
            loaded = load_image(source)
            assert loaded.dtype == np.uint8 and loaded.flags.c_contiguous
            assert np.array_equal(loaded, color), name


@pytest.mark.parametrize(
    'array, match',
    [
        (np.zeros((4, 4, 2), np.uint8), r'got uint8 \(4, 4, 2\)'),
        (np.zeros((4, 4, 3), np.float32), 'got float32'),
        (np.zeros((0, 4, 3), np.uint8), 'not empty'),
        (np.zeros((1, 4, 4, 3), np.uint8), r'\(1, 4, 4, 3\)'),
    ],
)
def test_wrong_arrays(array, match):
    with pytest.raises(ValueError, match=match):
        load_image(array)
    with pytest.raises(TypeError, match='got int'):
        load_image(3)


def test_names_of_files_arrays_and_folders(write, tmp_path, make_image):
    image, _ = make_image()
    first = write('in/b.PNG', image)
    write('in/sub/a.bmp', image)
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    items = list_images([tmp_path / 'in', image, first])
    assert [name for name, _ in items] == ['b.PNG', 'sub/a.bmp', '000002', 'b.PNG']
    assert items[2][1] is image and items[0][1] == first
    assert [name for name, _ in list_images(image)] == ['000000']


def test_equal_names_are_told_apart_by_their_folders(write, tmp_path, make_image):
    image, _ = make_image()
    for name in ('A/x.jpg', 'A/sub/y.jpg', 'B/x.jpg', 'B/z.jpg'):
        write(name, image)
    folders = [tmp_path / 'A', tmp_path / 'B']
    named = ['A/sub/y.jpg', 'A/x.jpg', 'B/x.jpg', 'B/z.jpg']
    assert [name for name, _ in list_images(folders)] == named
    items = list_images([tmp_path / 'A' / 'x.jpg', image, tmp_path / 'B' / 'x.jpg'])
    assert [name for name, _ in items] == ['A/x.jpg', '000001', 'B/x.jpg']
    (tmp_path / 'B' / 'x.jpg').unlink()
    assert [name for name, _ in list_images(folders)] == ['sub/y.jpg', 'x.jpg', 'z.jpg']


def test_pairs_of_name_and_image_stay(write, make_image):
    image, _ = make_image()
    pairs = [
        ('n', write('A/x.jpg', image)),
        ('n', write('B/x.jpg', image)),
        ('m', image),
    ]
    assert list_images(pairs) == pairs


@pytest.mark.parametrize('out', ['out', 'a/out'])
def test_results_inside_of_a_folder_are_left_out(
    write, tmp_path, monkeypatch, make_image, out
):
    image, _ = make_image()
    for name in ('a/x.jpg', f'{out}/x.jpg', f'{out}/sub/x.jpg', f'{out}side.jpg'):
        write(name, image)
    monkeypatch.chdir(tmp_path)
    for folder in ('.', tmp_path):
        names = [name for name, _ in list_images(folder, leave_out=out)]
        assert names == sorted(['a/x.jpg', f'{out}side.jpg'])
    # a folder that is asked for itself, or lies inside the results, is taken
    assert len(list_images(out, leave_out=out, drawn=False)) == 2
    assert len(list_images(f'{out}/sub', leave_out=out)) == 1
    (tmp_path / 'a' / 'x.jpg').unlink()
    (tmp_path / f'{out}side.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=f"no image outside of '{out}'"):
        list_images('.', leave_out=out)


@pytest.mark.parametrize(
    'inputs, out', [('in', 'in'), ('in', 'in/.'), (['in/a', 'in/b'], 'in')]
)
def test_drawings_do_not_lie_among_the_images(
    write, tmp_path, monkeypatch, make_image, inputs, out
):
    for name in ('in/a/x.jpg', 'in/b/x.jpg'):
        write(name, make_image()[0])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='among the images of .*--out-dir, show_dir'):
        list_images(inputs, leave_out=out)
    assert len(list_images(inputs, leave_out=out, drawn=False)) == 2
    # files that are named are no search
    assert len(list_images(['in/a/x.jpg'], leave_out='in/a')) == 1


def test_links_that_lead_nowhere_are_images(write, tmp_path, make_image):
    write('in/a.jpg', make_image()[0])
    (tmp_path / 'in' / 'b.jpg').symlink_to(tmp_path / 'gone.jpg')
    names = [name for name, _ in list_images(tmp_path / 'in')]
    assert names == ['a.jpg', 'b.jpg']


def test_images_of_other_types_are_said(write, tmp_path, make_image, warnings):
    write('in/a.jpg', make_image()[0])
    for name in ('b.gif', 'c.HEIC', 'd.heic', 'notes.txt'):
        (tmp_path / 'in' / name).write_bytes(b'')
    assert len(list_images(tmp_path / 'in')) == 1
    assert '3 images (.gif, .heic). Name or convert them.' in warnings[0]


@pytest.mark.parametrize(
    'inputs, message',
    [
        (None, 'a list of them; got NoneType'),
        (5, 'a list of them; got int'),
        (b'a.jpg', 'a list of them; got bytes'),
        ({'a': 'a.jpg'}, 'a list of them; got dict'),
        (('name', np.zeros((2, 2, 3), np.uint8)), "'name', ...., belong into a list"),
        ([('n', 'a.jpg', 3)], 'is a name and an image, got'),
        ([(1, 'a.jpg')], 'is a name and an image, got'),
    ],
)
def test_what_is_no_image_nor_a_list(inputs, message):
    with pytest.raises(TypeError, match=message):
        list_images(inputs)


def test_images_of_pillow(make_image):
    image, _ = make_image()
    assert list_images(Image.fromarray(image))[0][0] == '000000'
    np.testing.assert_array_equal(load_image(Image.fromarray(image[..., ::-1])), image)
    turned = Image.fromarray(image[..., ::-1])
    turned.getexif()[0x0112] = 6  # the camera was turned by a quarter
    np.testing.assert_array_equal(load_image(turned), np.rot90(image, -1))


def test_full_view_is_the_plain_resize(make_image):
    image, _ = make_image(77, 131, (20, 20, 99, 60))
    view = Viewer([dict(type='LoadImageFromFile'), RESIZE, CROP, PACK], 'full')(image)
    expected = np.array(Image.fromarray(image).resize((48, 48), Image.BILINEAR))
    assert torch.equal(view.inputs, torch.from_numpy(expected).permute(2, 0, 1))
    assert view.crops is None and view.frame.image == (77, 131)


def test_test_view_is_the_pipelines_crop(make_image):
    image, _ = make_image()
    view = Viewer([RESIZE, CROP, PACK], 'test')(image)
    whole = np.array(Image.fromarray(image).resize((64, 64), Image.BILINEAR))
    expected = torch.from_numpy(whole[8:56, 8:56]).permute(2, 0, 1)
    assert torch.equal(view.inputs, expected)
    ten = Viewer([RESIZE, dict(CROP, type='bas_mm.TenCrop'), PACK], 'test')(image)
    assert torch.equal(ten.inputs, expected) and ten.crops.shape == (9, 3, 48, 48)


def test_views_without_a_size_or_a_way_back():
    edge = dict(type='ResizeEdge', scale=64)
    with pytest.raises(ValueError, match=r"\['ResizeEdge'\].*view='full'"):
        Viewer([edge, CROP, PACK], 'test')
    assert Viewer([edge, CROP, PACK], 'full')(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match='does not tell the size of the view'):
        Viewer([edge, PACK], 'full')
