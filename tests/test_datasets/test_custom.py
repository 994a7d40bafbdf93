import json
import os
import os.path as osp

import cv2
import numpy as np
import pytest
from PIL import Image

from bas_mm.datasets import CustomLocalization
from bas_mm.utils.files import IMG_EXTENSIONS
from tests.helpers.data import voc, write_coco, write_image, write_text


def infos(dataset):
    """From the image's path in the root to its info."""
    root = dataset.data_root
    found = (dataset.get_data_info(i) for i in range(len(dataset)))
    return {osp.relpath(i['img_path'], root): i for i in found}


@pytest.fixture
def flat(tmp_path):
    root = str(tmp_path / 'flat')
    for name in ('cat/a.jpg', 'cat/b.png', 'dog/a.jpg', 'dog/sub/c.jpg'):
        write_image(root, name)
    return root


@pytest.fixture
def split(tmp_path):
    root = str(tmp_path / 'split')
    for name in (
        'train/cat/a.jpg',
        'train/dog/b.jpg',
        'train/fox/c.jpg',
        'test/cat/d.jpg',
        'test/fox/e.jpg',
    ):
        write_image(root, name)
    return root


def test_no_boxes_is_fine(flat, warnings):
    dataset = CustomLocalization(flat)
    found = infos(dataset)
    assert dataset.CLASSES == ('cat', 'dog')
    assert {k: i['gt_label'] for k, i in found.items()} == {
        'cat/a.jpg': 0,
        'cat/b.png': 0,
        'dog/a.jpg': 1,
        'dog/sub/c.jpg': 1,
    }
    assert not any('gt_bboxes' in i or 'seg_map_path' in i for i in found.values())
    assert not warnings


def test_hold_out(tmp_path):
    root = str(tmp_path / 'many')
    for i in range(300):
        write_text(root, ('cat', 'dog')[i % 2], f'{i}.jpg')
    train, test = (infos(CustomLocalization(root, split=s)) for s in ('train', 'test'))
    assert not train.keys() & test.keys()
    assert len(train) + len(test) == 300
    assert 40 <= len(test) <= 80
    assert infos(CustomLocalization(root, split='val')).keys() == test.keys()
    half = infos(CustomLocalization(root, split='test', test_ratio=0.5))
    assert test.keys() < half.keys() and 120 <= len(half) <= 180
    # an image stays where it is when others come and go
    for name in list(train)[:50]:
        os.remove(osp.join(root, name))
    write_text(root, 'dog', 'new.jpg')
    again = infos(CustomLocalization(root, split='test'))
    assert again.keys() - {'dog/new.jpg'} == test.keys()
    with pytest.raises(FileNotFoundError, match='raise or lower `test_ratio`'):
        CustomLocalization(root, split='test', test_ratio=1e-9)


def test_hold_out_of_each_class(tmp_path):
    root = str(tmp_path / 'many')
    for i in range(40):
        write_text(root, 'dog' if i % 4 else 'cat', f'{i}.jpg')
    write_text(root, 'owl', 'one.jpg')
    found = {
        (seed, split): set(
            infos(
                CustomLocalization(root, split=split, split_seed=seed, test_ratio=0.3)
            )
        )
        for seed in (0, 1)
        for split in ('train', 'test', 'val')
    }
    for seed in (0, 1):
        train, test = found[seed, 'train'], found[seed, 'test']
        assert not train & test and len(train | test) == 41
        folders = [name.split('/')[0] for name in test]
        assert (folders.count('cat'), folders.count('dog')) == (3, 9)
        assert 'owl/one.jpg' in train
        assert found[seed, 'val'] == test
    assert found[0, 'test'] != found[1, 'test']
    assert len(CustomLocalization(root, split_seed=0)) == 41


def test_split_folders(split):
    train = CustomLocalization(split, split='train')
    test = CustomLocalization(split, split='test')
    assert train.CLASSES == test.CLASSES == ('cat', 'dog', 'fox')
    assert {k: i['gt_label'] for k, i in infos(test).items()} == {
        'test/cat/d.jpg': 0,
        'test/fox/e.jpg': 2,
    }
    assert len(train) == 3
    both = CustomLocalization(split)
    assert len(both) == 5 and both.CLASSES == ('cat', 'dog', 'fox')
    os.rename(osp.join(split, 'test'), osp.join(split, 'val'))
    assert len(CustomLocalization(split, split='test')) == 2
    os.rename(osp.join(split, 'val'), osp.join(split, 'other'))
    with pytest.raises(FileNotFoundError, match='no folder `test`'):
        CustomLocalization(split, split='test')
    os.rename(osp.join(split, 'other'), osp.join(split, 'test'))
    write_image(split, 'test/owl/a.jpg')
    with pytest.raises(ValueError, match=r"\['owl'\] .* not in `train`"):
        CustomLocalization(split, split='test')


def test_a_class_called_train(tmp_path):
    root = str(tmp_path)
    write_image(root, 'car/a.jpg')
    write_image(root, 'train/b.jpg')
    assert CustomLocalization(root).CLASSES == ('car', 'train')


def test_classes(flat, warnings):
    dataset = CustomLocalization(flat, classes=['dog', 'cat'])
    assert infos(dataset)['cat/a.jpg']['gt_label'] == 1
    dataset = CustomLocalization(flat, metainfo=dict(classes=('Cat', 'Dog')))
    assert infos(dataset)['dog/a.jpg']['gt_label'] == 1
    with pytest.raises(ValueError, match='2 class folders .* names 3'):
        CustomLocalization(flat, classes=['a', 'b', 'c'])
    for name in ('eel', 'ant', '.cache'):
        os.mkdir(osp.join(flat, name))
    dataset = CustomLocalization(flat)
    assert dataset.CLASSES == ('ant', 'cat', 'dog', 'eel')
    assert infos(dataset)['cat/a.jpg']['gt_label'] == 1
    assert warnings == ['class folders without images (2): ant, eel']


def test_coco(flat, warnings):
    write_coco(
        flat,
        [
            ('cat/a.jpg', 1, 2, 10, 20),
            ('cat/a.jpg', 0, 0, 5.5, 5),
            ('c.jpg', 3, 4, 5, 6),
        ],
        'boxes/b.json',
    )
    found = infos(CustomLocalization(flat, box_file='boxes/b.json'))
    assert len(found) == 4  # the folder of the boxes is no class
    boxes = found['cat/a.jpg']['gt_bboxes']
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[1, 2, 11, 22], [0, 0, 5.5, 5]]
    assert found['dog/sub/c.jpg']['gt_bboxes'].tolist() == [[3, 4, 8, 10]]
    assert 'gt_bboxes' not in found['dog/a.jpg']
    assert not warnings
    write_coco(flat, [('a.jpg', 1, 2, 10, 20)])
    with pytest.raises(ValueError, match='`a` may mean .*cat/a.jpg'):
        CustomLocalization(flat, box_file='b.json')


def test_images_that_differ_by_their_extension(flat):
    write_image(flat, 'cat/a.png')
    write_coco(flat, [('cat/a.jpg', 1, 2, 10, 20), ('./cat/a.png', 3, 4, 5, 6)])
    found = infos(CustomLocalization(flat, box_file='b.json'))
    assert found['cat/a.jpg']['gt_bboxes'].tolist() == [[1, 2, 11, 22]]
    assert found['cat/a.png']['gt_bboxes'].tolist() == [[3, 4, 8, 10]]


def test_every_kind_of_image_that_localize_reads(tmp_path, build):
    for extension in IMG_EXTENSIONS:
        shape = (40, 50) if extension == '.pgm' else (40, 50, 3)
        file = tmp_path / 'cat' / f'a{extension}'
        file.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(file), np.full(shape, 99, np.uint8))
    write_image(tmp_path, 'cat', 'b.TIFF')
    write_text(tmp_path, 'cat', 'c.txt')
    dataset = build('custom', 'test', str(tmp_path), split='')
    assert {osp.basename(name) for name in infos(dataset)} == {
        *(f'a{extension}' for extension in IMG_EXTENSIONS),
        'b.TIFF',
    }
    assert all(item['inputs'].shape == (3, 224, 224) for item in dataset)
    assert len(CustomLocalization(str(tmp_path), extensions=['.webp'])) == 1


def test_voc_and_missing_images(flat, warnings):
    text = voc([(3, 4, 13, 24)])
    write_text(flat, 'Annotations', 'dog', 'a.xml', text=text)
    write_text(flat, 'Annotations', 'b.xml', text=text)
    for i in range(7):
        write_text(flat, 'Annotations', f'no{i}.xml', text=text)
    found = infos(CustomLocalization(flat, box_file='Annotations/'))
    assert {k for k, i in found.items() if 'gt_bboxes' in i} == {
        'dog/a.jpg',
        'cat/b.png',
    }
    assert found['dog/a.jpg']['gt_bboxes'].tolist() == [[3, 4, 13, 24]]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        'annotations without an image of their name (7): no0.xml, '
    )


def test_boxes_of_the_other_split_are_not_missing(split, flat, warnings):
    write_coco(
        split,
        [
            ('train/cat/a.jpg', 1, 2, 3, 4),
            ('d.jpg', 5, 6, 7, 8),
            ('fox/c.jpg', 1, 1, 1, 1),
            ('cow/x.jpg', 1, 1, 1, 1),
        ],
    )
    found = infos(CustomLocalization(split, split='test', box_file='b.json'))
    assert found['test/cat/d.jpg']['gt_bboxes'].tolist() == [[5, 6, 12, 14]]
    assert warnings == [
        'class folders without images (1): dog',
        'annotations without an image of their name (1): cow/x.jpg',
    ]
    del warnings[:]
    names = ['cat/a.jpg', 'cat/b.png', 'dog/a.jpg', 'dog/sub/c.jpg']
    write_coco(flat, [(n, 1, 2, 3, 4) for n in names])
    found = [
        infos(CustomLocalization(flat, split=s, test_ratio=0.5, box_file='b.json'))
        for s in ('train', 'test')
    ]
    assert all('gt_bboxes' in i for part in found for i in part.values())
    assert sorted(k for part in found for k in part) == names
    assert not warnings


@pytest.mark.parametrize(
    'box, match',
    [
        ((10, 2, -3, 4), 'swapped corners'),
        ((10, 2, 0, 4), 'has no area'),
        ((10, 2, 60, 4), 'reaches outside its image of 50x40'),
        ((-9, 2, 5, 4), 'reaches outside'),
    ],
)
def test_bad_boxes(flat, warnings, box, match):
    write_coco(
        flat, [('cat/a.jpg', *box), ('cat/a.jpg', 1, 2, 3, 4), ('cat/b.png', *box)]
    )
    with pytest.raises(ValueError, match=f"cat/a.jpg: .*{match}.*'skip'"):
        CustomLocalization(flat, box_file='b.json')
    found = infos(CustomLocalization(flat, box_file='b.json', on_error='skip'))
    assert found['cat/a.jpg']['gt_bboxes'].tolist() == [[1, 2, 4, 6]]
    assert 'gt_bboxes' not in found['cat/b.png']
    assert len(warnings) == 1 and warnings[0].startswith(
        'boxes left out (2): cat/a.jpg'
    )


def test_boxes_of_another_size(flat):
    write_coco(flat, [('cat/a.jpg', 1, 2, 3, 4)], size=(100, 80))
    with pytest.raises(ValueError, match='for 100x80 pixels, .* has 50x40'):
        CustomLocalization(flat, box_file='b.json')


def test_exif_turn(flat):
    path = osp.join(flat, 'cat', 'a.jpg')
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (50, 40)).save(path, exif=exif)
    assert cv2.imread(path).shape == (50, 40, 3)  # loaded upright
    write_coco(flat, [('cat/a.jpg', 1, 2, 30, 45)], size=(40, 50))
    found = infos(CustomLocalization(flat, box_file='b.json'))
    assert found['cat/a.jpg']['gt_bboxes'].tolist() == [[1, 2, 31, 47]]


def test_masks(flat, warnings, build):
    for name in ('cat/a', 'dog/sub/c', 'dog/no'):
        write_image(flat, 'masks', name + '.png')
    dataset = CustomLocalization(flat, mask_dir='masks')
    found = infos(dataset)
    assert {k for k, i in found.items() if 'seg_map_path' in i} == {
        'cat/a.jpg',
        'dog/sub/c.jpg',
    }
    assert found['cat/a.jpg']['seg_map_path'].endswith('masks/cat/a.png')
    assert dataset.CLASSES == ('cat', 'dog')
    assert warnings == ['masks without an image of their name (1): dog/no']
    write_coco(flat, [('cat/a.jpg', 0, 0, 50, 40)])
    dataset = build(
        'custom', 'test', flat, split='', mask_dir='masks', box_file='b.json'
    )
    item = dataset[0]['data_samples']
    assert item.gt_bboxes.tolist() == [[0, 0, 224, 224]]
    assert item.gt_seg_map.shape == (224, 224) and item.gt_seg_map.all()
    item = dataset[1]['data_samples']
    assert 'gt_bboxes' not in item and 'gt_seg_map' not in item
    train = build(
        'custom', 'train', flat, split='', mask_dir='masks', box_file='b.json'
    )
    assert set(train[0]['data_samples'].keys()) == {'gt_label'}


@pytest.mark.parametrize(
    'text',
    [
        '{',
        '[]',
        '{"images": []}',
        json.dumps(
            dict(
                images=[dict(id=1, file_name='cat/a.jpg')],
                annotations=[dict(image_id=1, bbox=[1, 2, 3])],
            )
        ),
    ],
)
def test_broken_coco(flat, text):
    write_text(flat, 'b.json', text=text)
    with pytest.raises(ValueError, match=r'b\.json: expected a COCO json'):
        CustomLocalization(flat, box_file='b.json')


def test_wrong_options(flat, tmp_path):
    with pytest.raises(ValueError, match='`split` .* one of'):
        CustomLocalization(flat, split='dev')
    with pytest.raises(ValueError, match='`on_error` .* one of'):
        CustomLocalization(flat, on_error='ignore')
    with pytest.raises(ValueError, match='`test_ratio` .* above 0'):
        CustomLocalization(flat, test_ratio=1)
    with pytest.raises(ValueError, match='no `ann_file`'):
        CustomLocalization(flat, ann_file='x.txt')
    for name in ('box_file', 'mask_dir'):
        with pytest.raises(FileNotFoundError, match=f'correct `{name}`'):
            CustomLocalization(flat, **{name: 'no'})
    with pytest.raises(FileNotFoundError, match='--data-root'):
        CustomLocalization(str(tmp_path / 'no'))
    os.mkdir(tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='No images'):
        CustomLocalization(str(tmp_path / 'empty'))


@pytest.mark.parametrize(
    'name, meant', [('Train', 'train'), ('TEST', 'test'), ('Validation', 'val')]
)
def test_folders_called_nearly_as_splits(flat, name, meant):
    write_image(flat, name, 'cat', 'x.jpg')
    with pytest.raises(ValueError, match=f'the folder `{name}`.*call it `{meant}`'):
        CustomLocalization(flat)


def test_a_class_may_be_called_nearly_as_a_split(flat):
    write_image(flat, 'Train', 'x.jpg')  # images of trains
    assert CustomLocalization(flat).CLASSES == ('Train', 'cat', 'dog')


@pytest.mark.parametrize(
    'files',
    [
        ['out/a.jpg', 'out/results.json'],
        ['out/a.jpg', 'out/results.csv'],
        ['out/sheet.png', 'out/000003_a.png'],
        ['out/bas/epoch_1.pth', 'out/bas/grid.png'],
        ['out/last_checkpoint', 'out/grid.png'],
    ],
)
def test_what_was_written_beside_is_no_class(flat, files):
    for file in files:
        if file.endswith(('.jpg', '.png')):
            write_image(flat, file)
        else:
            write_text(flat, file, text='')
    assert CustomLocalization(flat).CLASSES == ('cat', 'dog')


def test_a_class_with_one_picture_called_sheet(flat):
    write_image(flat, 'paper', 'sheet.png')
    assert 'paper' in CustomLocalization(flat).CLASSES


def test_predicted_boxes_are_pointed_out(flat, warnings):
    write_coco(flat, [('cat/a.jpg', 1, 2, 10, 20)], 'b.json')
    CustomLocalization(flat, box_file='b.json')
    assert not warnings
    coco = json.load(open(osp.join(flat, 'b.json')))
    coco['annotations'][0]['score'] = 0.5
    write_text(flat, 'b.json', text=json.dumps(coco))
    found = infos(CustomLocalization(flat, box_file='b.json'))
    assert 'gt_bboxes' in found['cat/a.jpg']
    assert 'boxes that were predicted (they have scores)' in warnings[0]
