"""Writers of what was found, and the writing of files."""

import csv
import json
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import cv2
import mmengine
import numpy as np
import pytest

from bas_mm.apis import FORMATS, CocoFile, encode_rle
from bas_mm.datasets import CustomLocalization
from tests.helpers.inference import decode


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (7, 1), (13, 8)])
def test_masks_come_back(shape):
    rng = np.random.default_rng(0)
    for mask in (rng.random(shape) > 0.5, np.zeros(shape, bool), np.ones(shape, bool)):
        rle = encode_rle(mask)
        assert (decode(rle) == mask).all() and rle['size'] == list(shape)
        assert sum(rle['counts']) == mask.size
        assert all(count > 0 for count in rle['counts'][1:])
        try:
            from pycocotools import mask as coco_mask
        except ImportError:
            continue
        packed = coco_mask.frPyObjects(json.loads(json.dumps(rle)), *shape)
        assert (coco_mask.decode(packed) == mask).all()


def test_file(tmp_path):
    coco = CocoFile(tmp_path / 'new' / 'a.json', ['x', 'y'], dict(k=1))
    mask = np.zeros((20, 30), bool)
    mask[4:8, 2:12] = True
    coco.add('p.jpg', (20, 30), [(1, 0.5, np.float32([2, 4, 12, 8]))], [mask])
    coco.add('q.jpg', (10, 10), [], extra='e')
    coco.finish([('bad.jpg', 'r')])
    data = json.loads((tmp_path / 'new' / 'a.json').read_text())
    assert data['info'] == dict(
        k=1, complete=True, skipped=[dict(file_name='bad.jpg', reason='r')]
    )
    assert data['images'] == [
        dict(id=1, file_name='p.jpg', width=30, height=20),
        dict(id=2, file_name='q.jpg', width=10, height=10, extra='e'),
    ]
    assert data['categories'] == [dict(id=1, name='x'), dict(id=2, name='y')]
    (annotation,) = data['annotations']
    assert (decode(annotation.pop('segmentation')) == mask).all()
    assert annotation == dict(
        id=1,
        image_id=1,
        category_id=2,
        bbox=[2, 4, 10, 4],
        area=40,
        iscrowd=0,
        score=0.5,
    )


def test_writes_as_it_goes(tmp_path):
    coco = CocoFile(tmp_path / 'a.json', ['x'], {}, interval=0)
    coco.add('p.jpg', (2, 2), [])
    data = json.loads((tmp_path / 'a.json').read_text())
    assert len(data['images']) == 1 and data['info']['complete'] is False
    coco.finish(complete=False)
    assert not json.loads((tmp_path / 'a.json').read_text())['info']['complete']


CLASSES = ('crane, bird', 'b & c')
BOXES = [(1, 0.25, (2.5, 4, 12.25, 8)), (0, 0.5, (0, 0, 30, 20)), (1, 1, (5, 6, 6, 7))]


def rectangles():
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 4:8, 3:12] = masks[1] = masks[2, 6, 5] = True
    return masks


def fill(name, path, **kwargs):
    """An export of two images, one without objects."""
    export = FORMATS[name](path, CLASSES, **kwargs)
    export.add('a/p.jpg', (20, 30), BOXES, rectangles())
    export.add('q.jpg', (10, 10), [])
    return export


@pytest.mark.parametrize('name', FORMATS)
def test_counts_and_remains_of_a_killed_run(tmp_path, name):
    export = fill(name, tmp_path / 'out', interval=0)
    before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    assert before  # written without the end
    export.finish([('bad.jpg', 'r')])
    assert (export.num_images, export.num_objects) == (2, 3)
    assert export.skipped == [dict(file_name='bad.jpg', reason='r')]
    after = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    assert not [p for p in after if p.name.endswith('.part')]
    if name != 'coco':  # which names what was skipped
        assert before == after


@pytest.mark.parametrize('name', FORMATS)
def test_labels_of_another_run_do_not_stay_among_those_of_this_one(tmp_path, name):
    fill(name, tmp_path / 'out').finish()
    again = FORMATS[name](tmp_path / 'out', CLASSES)
    again.check_rest(['a/p.jpg', 'images/q.jpg' if name == 'yolo' else 'q.jpg', 'new'])
    if not again.is_folder:
        return again.check_rest(['other.jpg'])  # a file is replaced
    message = "labels of 1 image that .*, 'a/p' among them.* another place .--out-dir"
    with pytest.raises(ValueError, match=message):
        again.check_rest(['q.jpg'], '--out-dir')


@pytest.mark.parametrize('name', FORMATS)
def test_nothing_at_all(tmp_path, name):
    FORMATS[name](tmp_path / 'out', CLASSES).finish()
    assert (tmp_path / 'out').exists()


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path):
    (tmp_path / 'file').write_text('')
    for name in FORMATS:
        with pytest.raises(OSError, match='file is not a folder. .*--out'):
            FORMATS[name](tmp_path / 'file' / 'out', CLASSES)


def test_detections(tmp_path):
    coco = pytest.importorskip('pycocotools.coco').COCO
    for name in ('coco', 'coco-results'):
        fill(name, tmp_path / f'{name}.json').finish()
    truth = coco(str(tmp_path / 'coco.json'))
    assert truth.loadCats([1, 2]) == [
        dict(id=1, name='crane, bird'),
        dict(id=2, name='b & c'),
    ]
    assert len(truth.imgs) == 2 and len(truth.anns) == 3
    results = json.loads((tmp_path / 'coco-results.json').read_text())
    assert [list(one) for one in results] == [
        ['image_id', 'category_id', 'bbox', 'score', 'segmentation']
    ] * 3
    found = truth.loadRes(str(tmp_path / 'coco-results.json'))
    for i, (label, score, (x0, y0, x1, y1)) in enumerate(BOXES, 1):
        one = found.anns[i]
        assert (one['image_id'], one['category_id']) == (1, label + 1)
        assert one['score'] == score and one['bbox'] == [x0, y0, x1 - x0, y1 - y0]
        assert (found.annToMask(one) == rectangles()[i - 1]).all()
        assert (truth.annToMask(truth.anns[i]) == rectangles()[i - 1]).all()


def test_detections_without_masks(tmp_path):
    coco = pytest.importorskip('pycocotools.coco').COCO
    for name in ('coco', 'coco-results'):
        export = FORMATS[name](tmp_path / name, ['x'])
        export.add('p.jpg', (20, 30), [(0, 0.5, (2, 4, 12, 8))])
        export.finish()
    (one,) = coco(str(tmp_path / 'coco')).loadRes(str(tmp_path / name)).anns.values()
    assert one['bbox'] == [2, 4, 10, 4] and one['area'] == 40


def test_csv(tmp_path):
    fill('csv', tmp_path / 'a.csv').finish()
    with open(tmp_path / 'a.csv', newline='') as file:
        header, *rows = csv.reader(file)
    assert ','.join(header) == 'image,label,class,score,width,height,x0,y0,x1,y1'
    assert rows == [
        'a/p.jpg|1|b & c|0.25|30|20|2.5|4.0|12.25|8.0'.split('|'),
        'a/p.jpg|0|crane, bird|0.5|30|20|0.0|0.0|30.0|20.0'.split('|'),
        'a/p.jpg|1|b & c|1.0|30|20|5.0|6.0|6.0|7.0'.split('|'),
    ]


def test_voc(tmp_path):
    fill('voc', tmp_path / 'voc').finish()
    root = ElementTree.parse(tmp_path / 'voc' / 'a' / 'p.xml').getroot()
    assert root.tag == 'annotation' and root.findtext('filename') == 'p.jpg'
    assert root.findtext('folder') == 'a'
    size = [root.findtext(f'size/{key}') for key in ('width', 'height', 'depth')]
    assert size == ['30', '20', '3']
    assert [one.findtext('name') for one in root.iter('object')] == [
        'b & c',
        'crane, bird',
        'b & c',
    ]
    boxes = [[int(n.text) for n in box] for box in root.iter('bndbox')]
    assert [n.tag for n in root.find('object/bndbox')] == [
        'xmin',
        'ymin',
        'xmax',
        'ymax',
    ]
    # pixels 2 to 12 and 4 to 7 are touched, counted from 1
    assert boxes == [[3, 5, 13, 8], [1, 1, 30, 20], [5, 6, 6, 7]]
    empty = ElementTree.parse(tmp_path / 'voc' / 'q.xml').getroot()
    assert empty.findtext('size/width') == '10' and empty.find('object') is None


@pytest.mark.parametrize('name', ['coco', 'voc'])
def test_the_data_set_reads_its_own_export(tmp_path, name):
    folder = tmp_path / 'data' / 'a'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'p.jpg'), np.zeros((20, 30, 3), np.uint8))
    fill(name, tmp_path / 'out').finish()
    dataset = CustomLocalization(
        str(tmp_path / 'data'), box_file=str(tmp_path / 'out'), pipeline=[]
    )
    boxes = dataset.get_data_info(0)['gt_bboxes']
    expected = np.array([box for _, _, box in BOXES])
    assert abs(boxes - expected).max() <= (1 if name == 'voc' else 1e-3)


def find_labels(image):
    """Where ultralytics looks for the labels of an image."""
    return '/labels/'.join(image.rsplit('/images/', 1)).rsplit('.', 1)[0] + '.txt'


def test_yolo(tmp_path):
    out = tmp_path / 'yolo'
    export = FORMATS['yolo'](out, ['crane', 'two\nlines'])
    names = ('images/a/p.jpg', 'a/p.png', 'b/images/q.x.jpg', '../images/r.jpg')
    sources = []
    for i, name in enumerate(names):
        path = tmp_path / 'data' / f'{i}{name[-4:]}'
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'%d' % i)
        sources.append(path)
        export.add(name, (20, 30), [(1, 0.5, (3 * i, 0, 3 * i + 6, 20))], source=path)
    export.add('gone.jpg', (20, 30), [], source=tmp_path / 'gone.jpg')
    export.finish()
    assert (out / 'classes.txt').read_text() == 'crane\ntwo lines\n'
    data = mmengine.load(out / 'data.yaml')
    assert data['names'] == {0: 'crane', 1: 'two\nlines'}
    root = Path(data['path']) / data['train']
    assert data['train'] == data['val'] and root == out / 'images'
    images = [p for p in root.rglob('*') if p.is_file()]
    assert sorted(p.read_bytes() for p in images) == [b'0', b'1', b'2', b'3']
    for image in images:
        i = int(image.read_bytes())
        assert image.samefile(sources[i]) and image.suffix == names[i][-4:]
        text = Path(find_labels(str(image))).read_text()
        label, x, y, w, h = map(float, text.split())
        assert (label, y, h) == (1, 0.5, 1)
        assert x * 30 == pytest.approx(3 * i + 3, abs=1e-4)
        assert w * 30 == pytest.approx(6, abs=1e-4)
    assert (out / 'labels' / 'gone.txt').read_text() == ''


def test_yolo_never_touches_an_image(tmp_path):
    """The export into the data set itself; twice; and where there are no links."""
    image = tmp_path / 'images' / 'p.jpg'
    image.parent.mkdir()
    image.write_bytes(b'image')
    for _ in range(2):
        export = FORMATS['yolo'](tmp_path, ['x'])
        export.add('images/p.jpg', (20, 30), [], source=image)
        export.finish()
        assert image.read_bytes() == b'image' and not image.is_symlink()
        assert (tmp_path / 'labels' / 'p.txt').exists()
    for _ in range(2):
        export = FORMATS['yolo'](tmp_path / 'out', ['x'])
        export.add('images/p.jpg', (20, 30), [], source=image)
        assert (tmp_path / 'out' / 'images' / 'p.jpg').samefile(image)
    with mock.patch.object(Path, 'symlink_to', side_effect=OSError):
        export = FORMATS['yolo'](tmp_path / 'copied', ['x'])
        export.add('images/p.jpg', (20, 30), [], source=image)
    copy = tmp_path / 'copied' / 'images' / 'p.jpg'
    assert copy.read_bytes() == b'image' and not copy.is_symlink()


@pytest.mark.parametrize('name', ['voc', 'yolo'])
def test_names_stay_in_the_folder(tmp_path, name):
    out = tmp_path / 'out'
    export = FORMATS[name](out, ['x'])
    for one in ('../up.jpg', '/top.jpg', 'a/../b.jpg', 'same.jpg', 'same.png'):
        export.add(one, (20, 30), [])
    export.finish()
    kinds = {'voc': '.xml', 'yolo': '.txt'}
    stems = {p.stem for p in out.rglob(f'*{kinds[name]}')} - {'classes'}
    assert stems == {'up', 'top', 'b', 'same', 'same_2'}
    assert list(tmp_path.iterdir()) == [out]
