"""Attacks on data: what is given, and what is said of it.

Each is a row of ``ATTACKS``: a name, what it does to a good folder and then
opens, and the message that must come.
"""

import os
import os.path as osp
import shutil

import cv2
import numpy as np
import pytest

from bas_mm.datasets import CUBLocalization, CustomLocalization, ImageNetLocalization
from bas_mm.datasets.check import check_data
from bas_mm.utils.configs import read_config, share_annotations
from tests.helpers.commands import call
from tests.helpers.data import voc, write_coco, write_image, write_text


def own(root, **options):
    """Images of one's own, four of two classes."""
    for name in ('cat/a.jpg', 'cat/b.png', 'dog/c.jpg', 'dog/d.webp'):
        write_image(root, name)
    return lambda **more: CustomLocalization(root, **{**options, **more})


def cub(root, boxes='1 5 6 20 20\n2 7 8 30 30\n', names='1 a/1.jpg\n2 b/2.jpg\n'):
    """Two test images of CUB, 50x40 pixels."""
    for name in ('1', '2'):
        write_image(root, 'images', 'ab'[int(name) - 1], f'{name}.jpg')
    write_text(root, 'images.txt', text=names)
    lines = len(names.splitlines())
    ids = range(1, lines + 1)
    write_text(
        root, 'image_class_labels.txt', text=''.join(f'{i} {min(i, 2)}\n' for i in ids)
    )
    write_text(root, 'train_test_split.txt', text=''.join(f'{i} 0\n' for i in ids))
    write_text(root, 'classes.txt', text='1 001.a\n2 002.b\n')
    write_text(root, 'bounding_boxes.txt', text=boxes)
    return lambda **more: CUBLocalization(root, split='test', **more)


def ilsvrc(root, boxes=((5, 6, 20, 20),), listed='0.JPEG 0\n1.JPEG 1\n'):
    """Two validation images of ILSVRC, 50x40 pixels."""
    for name in 'mn':
        write_image(root, 'train', name, '0.JPEG')
    for name in '01':
        write_image(root, 'val', f'{name}.JPEG')
        write_text(root, 'bbox', 'val', f'{name}.xml', text=voc(boxes))
    write_text(root, 'meta', 'val.txt', text=listed)
    return lambda **more: ImageNetLocalization(root, split='val', **more)


def coco(root, *boxes):
    """Images of one's own with boxes ``(name, x, y, w, h)``."""
    build = own(root, box_file='b.json')
    write_coco(root, boxes)
    return build


def coco_twice(root):
    build = coco(root, ('cat/a.jpg', 1, 2, 9, 9), ('a.jpg', 3, 4, 9, 9))
    return build


def voc_swapped(root, boxes, size=(50, 40)):
    build = own(root, box_file='xml')
    write_text(root, 'xml', 'cat', 'a.xml', text=voc(boxes, size))
    return build


CORNERS = 'the file gives x1 y1 x2 y2 where x y width height are expected'
SIDES = 'the file gives x y width height where x1 y1 x2 y2 are expected'
SHARES = 'shares of the image from 0 to 1'
TURNED = 'x and y are swapped, or the boxes are for the image before it is turned'
BOXES = {
    'CUB, x1 y1 x2 y2 for x y w h': (
        lambda root: cub(root, '1 30 20 48 38\n2 28 20 49 39\n'),
        rf'1\.jpg \(id 1\).*outside its image of 50x40.*2 of 2 .*; likely {CORNERS}',
    ),
    'CUB, shares of the image': (
        lambda root: cub(root, '1 .1 .2 .3 .4\n2 .1 .2 .6 .7\n'),
        rf'lies in one pixel.*{SHARES}',
    ),
    'CUB, outside': (
        lambda root: cub(root, '1 5 6 20 20\n2 60 8 30 30\n'),
        r'b/2\.jpg \(id 2\).*outside its image.*\(1 of 2 boxes\)',
    ),
    'CUB, x and y swapped': (
        lambda root: cub(root, '1 5 25 20 24\n2 2 30 20 18\n'),
        TURNED,
    ),
    'CUB, no finite number': (
        lambda root: cub(root, '1 5 inf 20 24\n2 2 3 20 18\n'),
        r'a/1\.jpg .* is not of finite numbers',
    ),
    'CUB, one image twice': (
        lambda root: cub(
            root,
            '1 5 6 9 9\n2 5 6 9 9\n3 1 1 2 2\n',
            '1 a/1.jpg\n2 b/2.jpg\n3 a/1.jpg\n',
        ),
        r'images\.txt lists the image `a/1\.jpg` twice',
    ),
    'ILSVRC, x y w h for x1 y1 x2 y2': (
        lambda root: ilsvrc(root, [(25, 20, 20, 15)]),
        rf'0\.xml: .*swapped corners.*2 of 2 boxes; likely {SIDES}',
    ),
    'ILSVRC, swapped corners': (
        lambda root: ilsvrc(root, [(45, 35, 25, 15)]),
        'likely the two corners are swapped',
    ),
    'ILSVRC, outside': (
        lambda root: ilsvrc(root, [(5, 5, 90, 30)]),
        r'0\.xml: .*outside its image of 50x40',
    ),
    'ILSVRC, shares of the image': (
        lambda root: ilsvrc(root, [(0.1, 0.2, 0.5, 0.9)]),
        SHARES,
    ),
    'ILSVRC, one image twice': (
        lambda root: ilsvrc(root, listed='0.JPEG 0\n1.JPEG 1\n0.JPEG 0\n'),
        r'val\.txt lists the image `0\.JPEG` twice',
    ),
    'COCO, x1 y1 x2 y2 for x y w h': (
        lambda root: coco(root, ('cat/a.jpg', 30, 20, 48, 38)),
        CORNERS,
    ),
    'COCO, shares of the image': (
        lambda root: coco(root, ('cat/a.jpg', 0.1, 0.2, 0.3, 0.4)),
        SHARES,
    ),
    'COCO, one image twice': (
        coco_twice,
        r'b\.json lists the image `cat/a\.jpg` twice',
    ),
    'VOC, x y w h for x1 y1 x2 y2': (
        lambda root: voc_swapped(root, [(25, 20, 20, 15)]),
        SIDES,
    ),
    'VOC, for an image before it is reduced': (
        lambda root: voc_swapped(root, [(5, 6, 20, 20)], (500, 400)),
        'its boxes are for 500x400 pixels, but the image has 50x40',
    ),
}


@pytest.mark.parametrize('name', BOXES)
def test_boxes(tmp_path, warnings, name):
    attack, message = BOXES[name]
    build = attack(str(tmp_path / 'data'))
    with pytest.raises(ValueError, match=f"(?s){message}.*on_error='skip'"):
        build()
    assert len(build(on_error='skip')) > 0  # counted and named
    kind = 'images listed twice' if 'twice' in name else 'boxes left out'
    (text,) = [x for x in warnings if x.startswith(kind)]
    assert 'jpg' in text.lower() or 'JPEG' in text or 'xml' in text


@pytest.mark.parametrize('make', [own, cub, ilsvrc])
def test_good_boxes_pass(tmp_path, warnings, make):
    build = make(str(tmp_path / 'data'))
    assert len(build()) == len(build(on_error='skip')) > 1
    assert not warnings


def damage(path, kind):
    """Make an image one that cannot be read."""
    with open(path, 'rb') as file:
        content = file.read()
    content = {'empty': b'', 'text': b'no image', 'cut': content[: len(content) // 2]}[
        kind
    ]
    with open(path, 'wb') as file:
        file.write(content)


FILES = dict(own='cat/a.jpg', cub='images/a/1.jpg', ilsvrc='val/0.JPEG')


@pytest.mark.parametrize('kind', ['empty', 'text', 'cut'])
@pytest.mark.parametrize('make', [own, cub, ilsvrc])
def test_images_that_cannot_be_read(tmp_path, warnings, make, kind):
    root = str(tmp_path / 'data')
    load = [dict(type='bas_mm.LoadImageFromFile')]
    good = make(root)(pipeline=load)
    name = FILES[make.__name__]
    index = [i['img_path'] for i in good.load_data_list()].index(osp.join(root, name))
    damage(osp.join(root, name), kind)
    with pytest.raises(ValueError, match=rf'{osp.basename(name)}.* \(\d+ bytes\) is '):
        good[index]  # as training, by name, and never another image
    rest = make(root)
    damage(osp.join(root, name), kind)  # written anew above
    rest = rest(on_error='skip', pipeline=load)
    assert len(rest) == len(good) - 1
    assert all(osp.basename(name) not in rest[i]['img_path'] for i in range(len(rest)))
    (text,) = [x for x in warnings if x.startswith('images that cannot be read')]
    assert osp.basename(name) in text and '(1)' in text


def test_training_says_what_inference_says(tmp_path):
    from bas_mm.apis.images import load_image
    from bas_mm.datasets import LoadImageFromFile

    for name in ('a.jpg', 'b.png', 'c.webp', 'd.tiff'):
        image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
        path = str(tmp_path / name)
        assert cv2.imwrite(path, image)
        loaded = LoadImageFromFile()(dict(img_path=path))
        np.testing.assert_array_equal(loaded['img'], load_image(path))
        assert loaded['ori_shape'] == (40, 50)
        damage(path, 'cut')
        said = []
        for read in (load_image, lambda p: LoadImageFromFile()(dict(img_path=p))):
            with pytest.raises(ValueError) as caught:
                read(path)
            said.append(str(caught.value))
        assert said[1].startswith(said[0]) and name in said[0]
    assert "set on_error='skip' of the data set" in said[1]
    with pytest.raises(FileNotFoundError, match='There is no image .*gone.jpg'):
        LoadImageFromFile()(dict(img_path=str(tmp_path / 'gone.jpg')))
    with pytest.raises(ValueError, match="takes no `ignore_empty`.*on_error='skip'"):
        LoadImageFromFile(ignore_empty=True)


def masks(root):
    for name in ('cat/a', 'cat/b', 'dog/c', 'dog/d'):
        write_image(root, 'masks', f'{name}.png')


def flat_masks(root):
    for name in 'abcd':
        write_image(root, 'Masks', f'{name}.png')


def voc_folder(root):
    write_text(root, 'Annotations', 'a.xml', text=voc([(1, 2, 3, 4)]))


@pytest.mark.parametrize('split', ['', 'train', 'test'])
@pytest.mark.parametrize('extra', [masks, flat_masks, voc_folder])
@pytest.mark.parametrize('below', ['', 'train'])
def test_folders_of_annotations_are_no_classes(tmp_path, below, extra, split):
    root = str(tmp_path / 'data')
    own(osp.join(root, below))
    extra(osp.join(root, below))
    if below:
        shutil.copytree(osp.join(root, 'train', 'cat'), osp.join(root, 'test', 'cat'))
        extra(osp.join(root, 'test'))
    build = CustomLocalization(root, split=split, test_ratio=0.5)
    assert build.CLASSES == ('cat', 'dog')


def test_classes_of_png_files_of_the_same_names_stay_classes(tmp_path):
    for name in ('cat/1.png', 'cat/2.png', 'masks/1.jpg', 'dog/1.png', 'dog/2.png'):
        write_image(tmp_path, name)
    assert CustomLocalization(str(tmp_path)).CLASSES == ('cat', 'dog', 'masks')


@pytest.mark.parametrize(
    'options',
    [
        {'test_dataloader.dataset.box_file': 'b.json'},
        {'val_dataloader.dataset.box_file': 'b.json'},
        {'box_file': 'b.json'},
    ],
)
def test_boxes_are_a_setting_of_the_data(options):
    cfg = read_config('cam_efficientnet-lite0_toy')  # for its own words first
    cfg.box_file = 'b.json'
    with pytest.raises(ValueError, match='is for images of your own'):
        share_annotations(cfg)
    from mmengine.config import Config

    from bas_mm.utils.configs import find_config
    from bas_mm.utils.overrides import merge_options

    cfg = Config.fromfile(find_config('cam_efficientnet-lite0_custom'))
    merge_options(cfg, options)
    share_annotations(cfg)
    for split in ('val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.box_file == 'b.json'
    train = cfg.train_dataloader.dataset
    assert train.leave_out == ['b.json'] and 'box_file' not in train


def test_check_reads_everything(tmp_path, capsys):
    root = str(tmp_path / 'data')
    own(root)
    masks(root)
    write_coco(root, [('cat/a.jpg', 30, 20, 48, 38), ('dog/c.jpg', 1, 1, 9, 9)])
    with pytest.raises(SystemExit) as end:
        call('check', root, '--box-file', 'b.json', '--mask-dir', 'masks')
    said = capsys.readouterr().out
    assert '1 problems in' in str(end.value)
    assert 'boxes left out (1):' in said and CORNERS in said
    damage(osp.join(root, 'dog', 'c.jpg'), 'cut')
    write_image(root, 'masks', 'cat', 'a.png', size=(9, 9))
    with pytest.raises(SystemExit) as end:
        call('check', root, '--mask-dir', 'masks')
    said = capsys.readouterr().out
    assert '2 problems in' in str(end.value)
    assert 'images that cannot be read, left out (1):' in said and 'c.jpg' in said
    assert 'the mask has 9x9 pixels, its image 50x40' in said
    own(root)  # written anew
    masks(root)
    call('check', root, '--mask-dir', 'masks', '--workers', 1)
    assert f'No problem in {root}.' in capsys.readouterr().out


@pytest.mark.parametrize('make', [cub, ilsvrc])
def test_check_of_the_official_layouts(tmp_path, capsys, make):
    root = str(tmp_path / 'data')
    make(root)
    if make is cub:
        text = '1 1\n2 0\n'
        write_text(root, 'train_test_split.txt', text=text)
    last = list(check_data(root))[-1]
    assert last.boxes == last.images > 0 and not last.problems
    os.remove(osp.join(root, 'val/1.JPEG' if make is ilsvrc else 'images/b/2.jpg'))
    kinds = [kind for one in check_data(root) for kind in one.problems]
    assert any(kind.startswith('images that cannot be read') for kind in kinds)


def test_check_of_no_folder(tmp_path):
    with pytest.raises(SystemExit, match='data folder .*gone` does not exist'):
        call('check', tmp_path / 'gone')
