import json

import numpy as np
import pytest

from bas_mm.datasets.annotations import read_coco_boxes, read_table, read_voc_boxes
from tests.helpers.data import voc, write_text


def test_read_table(tmp_path):
    path = str(tmp_path / 'a.txt')
    write_text(path, text='3 1.5 2\n\n1  7 8.25 \n')
    assert read_table(path, (float, float), 'id x y') == {3: (1.5, 2), 1: (7, 8.25)}
    write_text(path, text='1 a b.jpg \n2 c\n')
    assert read_table(path, (str,), 'id path') == {1: ('a b.jpg',), 2: ('c',)}
    write_text(path)
    assert read_table(path, (int,), 'id class') == {}


@pytest.mark.parametrize(
    'text, match',
    [
        ('1 2\nx 3\n', r'a\.txt, line 2: expected `id class`, got `x 3`'),
        ('1\n', 'line 1'),
        ('1 2 3\n', 'line 1'),
        ('1 2.5\n', 'line 1'),
        ('4 2\n5 1\n4 2\n', 'line 3: the id 4 occurs twice'),
    ],
)
def test_wrong_tables(tmp_path, text, match):
    path = str(tmp_path / 'a.txt')
    write_text(path, text=text)
    with pytest.raises(ValueError, match=match):
        read_table(path, (int,), 'id class')


def test_read_voc_boxes(tmp_path):
    path = str(tmp_path / 'a.xml')
    write_text(path, text=voc([]))
    boxes, size = read_voc_boxes(path)
    assert boxes.shape == (0, 4) and size == (50, 40)
    write_text(path, text=voc([(1.5, 2, 3, 4)]).replace('width', 'breadth'))
    boxes, size = read_voc_boxes(path)
    assert boxes.tolist() == [[1.5, 2, 3, 4]] and size is None
    assert boxes.dtype == np.float32
    write_text(path, text=voc([(1, 2, 3, 4)]).replace('xmax', 'x'))
    with pytest.raises(ValueError, match='numbers in object/bndbox'):
        read_voc_boxes(path)
    write_text(path, text='no xml')
    with pytest.raises(ValueError, match=r'a\.xml: expected a Pascal-VOC annotation'):
        read_voc_boxes(path)


def test_read_coco_boxes(tmp_path):
    path = str(tmp_path / 'b.json')
    content = dict(
        images=[
            dict(id=7, file_name='cat\\a.jpg', width=50, height=40),
            dict(id=8, file_name='b.jpg'),
            dict(id=9, file_name='c.jpg', width=50, height=40),
        ],
        annotations=[
            dict(image_id=8, bbox=[0, 0, 5.5, 5]),
            dict(image_id=7, bbox=[1, 2, 10, 20]),
            dict(image_id=7, bbox=[3, 4, 5, 6], iscrowd=0),
            dict(image_id=7, bbox=[0, 0, 9, 9], iscrowd=1),
            dict(image_id=5, bbox=[0, 0, 9, 9]),
        ],
    )
    write_text(path, text=json.dumps(content))
    (first, second), orphans = read_coco_boxes(path)
    assert (first.name, first.size) == ('cat/a.jpg', (50, 40))
    assert first.boxes.tolist() == [[1, 2, 11, 22], [3, 4, 8, 10]]
    assert (second.name, second.size) == ('b.jpg', None)
    assert second.boxes.tolist() == [[0, 0, 5.5, 5]]
    assert orphans == [5]
    write_text(path, text='{"images": [], "annotations": []}')
    assert read_coco_boxes(path) == ([], [])


@pytest.mark.parametrize(
    'text',
    [
        '{',
        '[]',
        '{"images": []}',
        '{"images": [], "annotations": [3]}',
        '{"images": [{"id": 1}], "annotations": []}',
        '{"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2, 3]}]}',
    ],
)
def test_broken_coco(tmp_path, text):
    write_text(tmp_path, 'b.json', text=text)
    with pytest.raises(ValueError, match=r'b\.json: expected a COCO json file with'):
        read_coco_boxes(str(tmp_path / 'b.json'))
