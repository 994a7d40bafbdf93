"""Pseudo labels: read, moved with the pixels, and never true ones in their place."""

import json
import re

import cv2
import numpy as np
import pytest

from bas_mm.datasets import (
    LoadPseudoLabels,
    PackLocInputs,
    PseudoFlip,
    PseudoResizedCrop,
    ToyLocalization,
)
from bas_mm.datasets.transforms.pseudo_labels import TRUE_LABELS

TOY = dict(num_classes=2, train_per_class=2, test_per_class=1, image_size=64)
POISON = [[1.0, 2.0, 3.0, 4.0]]


def write_boxes(path, boxes, size=(64, 64)):
    """A COCO file: from names of images to their boxes, ``xyxy``."""
    images = [
        dict(id=i, file_name=name, width=size[0], height=size[1])
        for i, name in enumerate(boxes)
    ]
    annotations = [
        dict(image_id=i, category_id=1, bbox=[x0, y0, x1 - x0, y1 - y0])
        for i, found in enumerate(boxes.values())
        for x0, y0, x1, y1 in found
    ]
    path.write_text(json.dumps(dict(images=images, annotations=annotations)))
    return str(path)


def results(name='data/a/0.png', size=(64, 64)):
    return dict(img=np.zeros((size[1], size[0], 3), np.uint8), img_path=name)


@pytest.mark.parametrize('name', ['a/0.png', './a/0.png', '../a/0.png', '0.png'])
def test_an_image_is_found_by_the_end_of_its_path(tmp_path, name):
    file = write_boxes(
        tmp_path / 'b.json', {name: [[1, 2, 30, 40]], 'b/0.png': [[0, 0, 9, 9]]}
    )
    out = LoadPseudoLabels(file)(results('/x/data/a/0.png'))
    assert out['pseudo_bbox'].tolist() == [1, 2, 30, 40]
    assert out['pseudo_bbox'].dtype == np.float32


def test_of_several_boxes_the_largest(tmp_path):
    boxes = [[0, 0, 9, 9], [5, 5, 60, 50], [1, 1, 30, 30]]
    file = write_boxes(tmp_path / 'b.json', {'a/0.png': boxes})
    assert LoadPseudoLabels(file)(results())['pseudo_bbox'].tolist() == boxes[1]


def test_masks_of_a_folder(tmp_path):
    mask = np.array([[0, 1, 255], [1, 0, 0]], np.uint8)
    (tmp_path / 'a').mkdir()
    cv2.imwrite(str(tmp_path / 'a' / '0.png.png'), mask)
    load = LoadPseudoLabels(str(tmp_path), missing='whole')
    assert load(results(size=(3, 2)))['pseudo_mask'].tolist() == mask.tolist()
    assert load(results('b/1.png'))['pseudo_mask'].all()
    with pytest.raises(ValueError, match='is for an image of 3x2 pixels.*EXIF'):
        load(results(size=(2, 3)))


def test_what_is_wrong_is_said_in_one_line(tmp_path):
    file = write_boxes(tmp_path / 'b.json', {'a/0.png': [[1, 2, 30, 40]]})
    cases = [
        (dict(file=''), ValueError, r'pseudo labels: .*bas-mm ddt.*pseudo_file='),
        (dict(file='no.json'), FileNotFoundError, r"no pseudo labels 'no\.json'"),
        (dict(file=file, missing='skip'), ValueError, "'raise' or 'whole'"),
    ]
    for options, kind, message in cases:
        with pytest.raises(kind, match=message) as error:
            LoadPseudoLabels(**options)
        assert '\n' not in str(error.value)
    load = LoadPseudoLabels(file)
    with pytest.raises(ValueError, match='is for an image of 64x64 .* it has 50x64'):
        load(results(size=(50, 64)))
    with pytest.raises(ValueError, match=r"one of the .*'b/9\.png' .*'whole'"):
        load(results('b/9.png'))
    whole = LoadPseudoLabels(file, missing='whole')(results('b/9.png', (50, 40)))
    assert whole['pseudo_bbox'].tolist() == [0, 0, 50, 40]


@pytest.fixture
def toy(tmp_path):
    """Pseudo boxes of all training images of a toy set, and its pipeline."""
    root = tmp_path / 'toy'
    dataset = ToyLocalization(str(root), pipeline=[], **TOY)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    names = [re.sub('.*/toy/', '', info['img_path']) for info in infos]
    boxes = {name: [[8, 8, 40 + i, 48]] for i, name in enumerate(names)}
    pipeline = [
        dict(type='bas_mm.LoadImageFromFile'),
        dict(type='bas_mm.LoadPseudoLabels', file=str(tmp_path / 'b.json')),
        dict(type='bas_mm.PseudoResizedCrop', scale=32),
        dict(type='bas_mm.PseudoFlip'),
        dict(
            type='bas_mm.PackLocInputs',
            algorithm_keys=('gt_bboxes', 'gt_seg_map', 'pseudo_bbox'),
        ),
    ]

    def build(boxes=boxes, cls=ToyLocalization):
        write_boxes(tmp_path / 'b.json', boxes)
        return cls(str(root), pipeline=pipeline, **TOY)

    return boxes, build


class Poisoned(ToyLocalization):
    """Its true boxes and masks are wrong; whoever reads them shows it."""

    def load_data_list(self):
        return [
            dict(info, gt_bboxes=np.array(POISON), seg_map_path='poison.png')
            for info in super().load_data_list()
        ]


def test_true_boxes_cannot_reach_training(toy):
    _, build = toy
    samples = []
    for cls in (ToyLocalization, Poisoned):
        dataset = build(cls=cls)
        assert 'gt_bboxes' in dataset.get_data_info(0)
        np.random.seed(0)
        samples.append([dataset[i]['data_samples'] for i in range(len(dataset))])
    for clean, poisoned in zip(*samples):
        assert not {*TRUE_LABELS} & {*poisoned.keys()}
        assert poisoned.pseudo_bbox.tolist() == clean.pseudo_bbox.tolist()
        assert poisoned.pseudo_bbox.tolist() != POISON[0]


def test_missing_labels_are_told_before_the_first_image_is_read(toy):
    boxes, build = toy
    assert len(build()) == 4
    lost = list(boxes)[-1]
    with pytest.raises(ValueError, match=f'for 1 of 4 training .*{lost}.*bas-mm|whole'):
        build({name: boxes[name] for name in boxes if name != lost})


@pytest.mark.parametrize('seed', range(5))
def test_the_box_moves_with_the_pixels(seed):
    """Painted into the image, it is where it is said to be."""
    rng = np.random.default_rng(seed)
    np.random.seed(seed)
    img = np.zeros((90, 120, 3), np.uint8)
    x, y = rng.integers(10, 50, 2)
    box = np.array([x, y, x + 40, y + 30], np.float32)
    img[y : y + 30, x : x + 40] = 255
    mask = img[..., 0] // 255
    out = dict(img=img, pseudo_bbox=box, pseudo_mask=mask)
    out = PseudoFlip(prob=1.0)(PseudoResizedCrop(scale=(200, 240))(out))
    assert out['img'].shape == (200, 240, 3) and out['img_shape'] == (200, 240)
    ys, xs = np.nonzero(out['img'][..., 0] > 127)
    seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    np.testing.assert_allclose(out['pseudo_bbox'], seen, atol=1.5)
    ys, xs = np.nonzero(out['pseudo_mask'])
    seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    np.testing.assert_allclose(out['pseudo_bbox'], seen, atol=5)


def test_every_crop_meets_the_box_or_is_the_whole_image():
    box = np.array([0, 0, 3, 3], np.float32)
    crop = PseudoResizedCrop(scale=50, crop_ratio_range=(0.2, 0.3))
    np.random.seed(0)
    for _ in range(50):
        out = crop(dict(img=np.zeros((100, 100, 3), np.uint8), pseudo_bbox=box))
        x0, y0, x1, y1 = out['pseudo_bbox']
        assert x1 > x0 and y1 > y0
    crop = PseudoResizedCrop(scale=50, tries=0)
    out = crop(dict(img=np.zeros((100, 100, 3), np.uint8), pseudo_bbox=box))
    assert out['pseudo_bbox'].tolist() == [0, 0, 1.5, 1.5]


def test_flip_is_its_own_inverse_and_rare_enough():
    flip = PseudoFlip(prob=1.0)
    img = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    out = flip(dict(img=img, pseudo_bbox=np.array([0, 1, 2, 3], np.float32)))
    assert out['pseudo_bbox'].tolist() == [3, 1, 5, 3]
    out = flip(out)
    assert out['pseudo_bbox'].tolist() == [0, 1, 2, 3] and (out['img'] == img).all()
    assert PseudoFlip(prob=0)(dict(img=img))['img'] is img


def test_packing():
    pack = PackLocInputs(algorithm_keys=('pseudo_bbox', 'pseudo_mask'), meta_keys=())
    out = pack(
        dict(
            img=np.zeros((2, 3, 3), np.uint8),
            pseudo_mask=np.array([[0, 1, 255]] * 2, np.uint8),
        )
    )
    assert out['data_samples'].pseudo_mask.tolist() == [[0, 1, 255]] * 2
