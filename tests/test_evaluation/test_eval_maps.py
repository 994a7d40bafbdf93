import csv
import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bas_mm.evaluation import MaxBoxAcc, PeakIoU, WSOLAccuracy

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/eval_maps.py'


@pytest.fixture
def run(monkeypatch):
    """Run the tool in this process."""

    def call(*args):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


@pytest.fixture
def data(tmp_path):
    """Maps as folder and npz, boxes as csv and json, masks, scores."""
    rng = np.random.default_rng(0)
    maps, images, scores = {}, [], {}
    for i in range(6):
        name = f'c{i % 2}/{i % 3}.jpg'  # file names that repeat
        w, h = 60 + 10 * i, 90
        x, y = rng.integers(0, 30, 2)
        maps[name] = rng.random((7, 7)).astype(np.float32)
        boxes = [[int(x), int(y), int(x) + 30, int(y) + 50]]
        images.append(
            dict(
                image=name,
                label=i % 2,
                width=w,
                height=h,
                boxes=[] if i == 5 else boxes * (1 + i % 2),
            )
        )
        scores[name] = [0.2, 0.8]
        mask = np.zeros((48, 64), np.uint8)
        mask[10:30, 20:50] = 7
        for file in (tmp_path / 'maps' / name, tmp_path / 'masks' / name):
            file.parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / 'maps' / name.replace('.jpg', '.npy'), maps[name])
        if i:
            cv2.imwrite(str(tmp_path / 'masks' / name.replace('jpg', 'png')), mask)
    np.savez(tmp_path / 'maps.npz', **maps)
    np.savez(tmp_path / 'scores.npz', **scores)
    (tmp_path / 'boxes.json').write_text(json.dumps(images))
    with open(tmp_path / 'boxes.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow('image label width height x0 y0 x1 y1'.split())
        for image in images:
            row = [image[k] for k in ('image', 'label', 'width', 'height')]
            for box in image['boxes'] or [[''] * 4]:
                writer.writerow(row + box)
    return tmp_path, maps, images


def test_the_suite_on_saved_maps(data, run, capsys):
    root, maps, images = data
    options = (
        '--size',
        48,
        64,
        '--masks',
        root / 'masks',
        '--foreground',
        7,
        '--scores',
        root / 'scores.npz',
        '--json',
    )
    run(root / 'maps', root / 'boxes.csv', *options, root / 'a.json')
    run(root / 'maps.npz', root / 'boxes.json', *options, root / 'b.json')
    result = json.loads((root / 'a.json').read_text())
    assert result == json.loads((root / 'b.json').read_text())
    assert 'wsol/max_box_acc' in capsys.readouterr().out

    metrics = [WSOLAccuracy(threshold=0.15), MaxBoxAcc(), PeakIoU()]
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 1
    for i, image in enumerate(images):
        sample = dict(
            sample_idx=i,
            gt_label=[image['label']],
            pred_score=[0.2, 0.8],
            img_shape=(48, 64),
            pred_map=maps[image['image']],
            gt_bboxes=[
                [
                    x0 * 64 / image['width'],
                    y0 * 48 / 90,
                    x1 * 64 / image['width'],
                    y1 * 48 / 90,
                ]
                for x0, y0, x1, y1 in image['boxes']
            ],
        )
        if i:
            sample['gt_seg_map'] = mask
        for metric in metrics:
            metric.process({}, [sample])
    for metric in metrics:
        expected = metric.evaluate(6)
        assert expected == {key: result[key] for key in expected}
    assert result['wsol/num_images_no_box'] == 1
    assert result['wsol/pxap_num_no_mask'] == 1
    assert result['wsol/top1_cls'] == 50
    assert result['wsol_best/gt_known'] >= result['wsol/gt_known']


def test_bare_minimum(tmp_path, run):
    """No labels, sizes, scores or masks: boxes in pixels of the map."""
    pred_map = np.zeros((30, 40))
    pred_map[5:20, 8:30] = 1
    np.savez(tmp_path / 'm.npz', a=pred_map)
    (tmp_path / 'b.csv').write_text('image,x0,y0,x1,y1\na.png,8,5,30,20\n')
    run(tmp_path / 'm.npz', tmp_path / 'b.csv', '--json', tmp_path / 'o.json')
    result = json.loads((tmp_path / 'o.json').read_text())
    assert result['wsol/gt_known_iou70'] == 100
    assert result['wsol/max_box_acc_v2'] == 100
    assert result['wsol/gt_known_size_0_20'] is None  # over no image
    assert not any('top' in k or 'cls_mean' in k for k in result)


@pytest.mark.parametrize('side', [55, 56, 82, 214])
def test_a_box_that_fills_the_image_fills_the_view(tmp_path, run, side):
    pred_map = np.zeros((224, 224))
    pred_map[:112] = 1  # IoU 224 * 113 / 225 ** 2, just below a half
    np.savez(tmp_path / 'm.npz', a=pred_map)
    image = dict(image='a', width=side, height=side, boxes=[[0, 0, side, side]])
    (tmp_path / 'b.json').write_text(json.dumps([image]))
    options = '--size', 224, 224, '--json', tmp_path / 'o.json'
    run(tmp_path / 'm.npz', tmp_path / 'b.json', *options)
    result = json.loads((tmp_path / 'o.json').read_text())
    assert result['wsol/max_box_acc_v2_iou50'] == 0
    assert result['wsol/num_size_80_100'] == 1


@pytest.mark.parametrize('label', [None, [], 1, [0, 1]])
def test_labels(tmp_path, run, label):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    np.savez(tmp_path / 's.npz', a=[0.1, 0.9])
    image = {
        'image': 'a',
        'boxes': [[0, 0, 4, 4]],
        'labels' if isinstance(label, list) else 'label': label,
    }
    (tmp_path / 'b.json').write_text(json.dumps([image]))
    options = '--scores', tmp_path / 's.npz', '--json', tmp_path / 'o.json'
    run(tmp_path / 'm.npz', tmp_path / 'b.json', *options)
    result = json.loads((tmp_path / 'o.json').read_text())
    assert result.get('wsol/top1_cls') == (100 if label else None)
    assert result['wsol/gt_known'] == 100


@pytest.mark.parametrize(
    'error, maps, boxes, message',
    [
        (FileNotFoundError, 'none', 'image\na\n', 'neither a folder'),
        (ValueError, 'm.npz', 'name\na\n', 'column "image"'),
        (KeyError, 'm.npz', 'image\nb\n', "no entries for the image 'b'"),
        (ValueError, 'm.npz', 'image,x0,y0,x1,y1\na,1,2,3,\n', 'line 2.*complete'),
        (ValueError, 'm.npz', 'image,label\na,Bird\n', "line 2: the label 'Bird'"),
        (ValueError, 'm.npz', 'image,label\na,-1\n', 'no class index'),
        (ValueError, 'm.npz', 'image,label\na,1\nb,\n', "'b' has no label"),
    ],
)
def test_errors(tmp_path, run, error, maps, boxes, message):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    (tmp_path / 'b.csv').write_text(boxes)
    with pytest.raises(error, match=message):
        run(tmp_path / maps, tmp_path / 'b.csv')
