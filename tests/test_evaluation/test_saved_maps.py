import json

import cv2
import numpy as np
import pytest

from bas_mm.evaluation import MaxBoxAcc, PeakIoU, WSOLAccuracy
from bas_mm.evaluation.saved_maps import SavedMaps, evaluate_maps, read_samples
from tests.helpers.saved_maps import MASK, SIZE, make_files


def evaluate(maps, boxes, size=None, masks=None, foreground=1, **options):
    samples = read_samples(maps, boxes, size, masks, foreground)
    return evaluate_maps(samples, masks=masks is not None, **options)


def test_the_suite_on_saved_maps(tmp_path):
    maps, images = make_files(tmp_path)
    options = dict(
        size=SIZE,
        masks=tmp_path / 'masks',
        foreground=7,
        scores=str(tmp_path / 'scores.npz'),
    )
    result = evaluate(tmp_path / 'maps', tmp_path / 'boxes.csv', **options)
    again = evaluate(tmp_path / 'maps.npz', tmp_path / 'boxes.json', **options)
    assert result == pytest.approx(again, rel=0, abs=0, nan_ok=True)

    metrics = [WSOLAccuracy(threshold=0.15), MaxBoxAcc(), PeakIoU()]
    mask = np.zeros(SIZE, np.uint8)
    mask[MASK] = 1
    for i, image in enumerate(images):
        sample = dict(
            sample_idx=i,
            gt_label=[image['label']],
            pred_score=[0.2, 0.8],
            img_shape=SIZE,
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


def test_bare_minimum(tmp_path):
    """No labels, sizes, scores or masks: boxes in pixels of the map."""
    pred_map = np.zeros((30, 40))
    pred_map[5:20, 8:30] = 1
    np.savez(tmp_path / 'm.npz', a=pred_map)
    (tmp_path / 'b.csv').write_text('image,x0,y0,x1,y1\na.png,8,5,30,20\n')
    result = evaluate(tmp_path / 'm.npz', tmp_path / 'b.csv')
    assert result['wsol/gt_known_iou70'] == 100
    assert result['wsol/max_box_acc_v2'] == 100
    assert np.isnan(result['wsol/gt_known_size_0_20'])  # over no image
    assert not any('top' in k or 'cls_mean' in k for k in result)
    assert 'wsol/pxap' not in result


@pytest.mark.parametrize('side', [55, 56, 82, 214])
def test_a_box_that_fills_the_image_fills_the_view(tmp_path, side):
    pred_map = np.zeros((224, 224))
    pred_map[:112] = 1  # IoU 224 * 113 / 225 ** 2, just below a half
    np.savez(tmp_path / 'm.npz', a=pred_map)
    image = dict(image='a', width=side, height=side, boxes=[[0, 0, side, side]])
    (tmp_path / 'b.json').write_text(json.dumps([image]))
    result = evaluate(tmp_path / 'm.npz', tmp_path / 'b.json', (224, 224))
    assert result['wsol/max_box_acc_v2_iou50'] == 0
    assert result['wsol/num_size_80_100'] == 1


@pytest.mark.parametrize('label', [None, [], 1, [0, 1]])
def test_labels(tmp_path, label):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    np.savez(tmp_path / 's.npz', a=[0.1, 0.9])
    image = {
        'image': 'a',
        'boxes': [[0, 0, 4, 4]],
        'labels' if isinstance(label, list) else 'label': label,
    }
    (tmp_path / 'b.json').write_text(json.dumps([image]))
    scores = str(tmp_path / 's.npz')
    result = evaluate(tmp_path / 'm.npz', tmp_path / 'b.json', scores=scores)
    assert result.get('wsol/top1_cls') == (100 if label else None)
    assert result['wsol/gt_known'] == 100


def test_names_of_the_benchmark(tmp_path):
    """The WSOL benchmark writes the map of ``a.jpg`` to ``a.jpg.npy``."""
    for i, name in enumerate(('test/x/a.jpg.npy', 'test/y/a.JPEG.npy', 'b.1.npy')):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / name, np.full((2, 2), i))
    maps = SavedMaps(tmp_path)
    for i, names in enumerate(
        [
            ('test/x/a.jpg', 'x/a', 'data/test/x/a.png'),
            ('y/a.JPEG',),
            ('b.1', 'b.1.jpg'),
        ]
    ):
        assert all(maps[name][0, 0] == i for name in names)
    with pytest.raises(KeyError, match="2 entries for the image 'a.jpg'"):
        maps['a.jpg']
    with pytest.raises(KeyError, match="no entries for the image 'b.jpg'"):
        maps['b.jpg']


def test_bicubic_maps(tmp_path):
    """The same figures as of maps that OpenCV has resized bicubically."""
    maps, _ = make_files(tmp_path)
    large = {
        k: cv2.resize(v, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        for k, v in maps.items()
    }
    np.savez(tmp_path / 'large.npz', **large)
    options = dict(
        boxes=tmp_path / 'boxes.json',
        size=SIZE,
        masks=tmp_path / 'masks',
        foreground=7,
    )
    bicubic = evaluate(tmp_path / 'maps.npz', resize='bicubic', **options)
    expected = evaluate(tmp_path / 'large.npz', **options)
    bilinear = evaluate(tmp_path / 'maps.npz', **options)
    for key in ('wsol/pxap', 'wsol/max_box_acc_t', 'wsol/max_box_acc_v2'):
        assert bicubic[key] == expected[key]
    assert bicubic['wsol/pxap'] != bilinear['wsol/pxap']
    assert bicubic['wsol/peak_iou'] == bilinear['wsol/peak_iou']  # not asked for


@pytest.mark.parametrize(
    'error, maps, boxes, message',
    [
        (FileNotFoundError, 'none', 'image\na\n', 'neither a folder'),
        (ValueError, 'm.npz', 'name\na\n', 'column "image"'),
        (KeyError, 'm.npz', 'image\nb\n', "no entries for the image 'b'"),
        (ValueError, 'm.npz', 'image,x0,y0,x1,y1\na,1,2,3,\n', 'line 2.*four numbers'),
        (ValueError, 'm.npz', 'image,label\na,Bird\n', "line 2: the label 'Bird'"),
        (ValueError, 'm.npz', 'image,label\na,-1\n', 'no class index'),
        (ValueError, 'm.npz', 'image,label\na,1\nb,\n', "'b' has no label"),
        (
            ValueError,
            'm.npz',
            'image,label\na,0.7\n',
            "line 2: the label '0.7' is no w",
        ),
        (
            ValueError,
            'm.npz',
            'image,width,height\na,9.9,9\n',
            "line 2: the width '9.9'",
        ),
        (
            ValueError,
            'm.npz',
            'image,label\na,1\na,2\n',
            "line 3: .*'a' was 1 in a line",
        ),
        (ValueError, 'm.npz', 'image,label\n,1\n', 'line 2: the name .* is missing'),
        (ValueError, 'm.npz', 'image,x0,y0,x1,y1\na,1,2,q,4\n', "line 2: .*'q', '4'"),
        (ValueError, 'm.npz', 'image,x0,y0,x1,y1\n', r'b\.csv. lists no image'),
        (
            ValueError,
            'm.npz',
            'image,lable\na,1\n',
            "columns 'lable', which nothing reads: did you mean label.* Allowed are im",
        ),
        (
            ValueError,
            'm.npz',
            'image,left,top\na,1,2\n',
            "columns 'left', 'top', which nothing reads. Allowed are image, label",
        ),
        (ValueError, 'm.npz', 'image,label\na,1,2\n', 'line 2: .* more values than'),
        (ValueError, 'm.npz', 'image\n\xe9\n'.encode('latin-1'), 'no text in UTF-8'),
    ],
)
def test_errors(tmp_path, error, maps, boxes, message):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    text = boxes if isinstance(boxes, bytes) else boxes.encode()
    (tmp_path / 'b.csv').write_bytes(text)
    with pytest.raises(error, match=message):
        evaluate(tmp_path / maps, tmp_path / 'b.csv')


@pytest.mark.parametrize(
    'images, message',
    [
        (dict(a=1), 'a list of objects with "image"'),
        ([dict(name='a')], 'a list of objects with "image"'),
        ([dict(image='a', label='Bird')], "the label ..Bird.. of 'a' is no class"),
        ([dict(image='a', label=0.5)], r"the label \[0.5\] of 'a' is no class"),
        ([], r'b\.json. lists no image'),
        ([dict(image='')], 'a list of objects with "image", a name'),
        ([dict(image='a'), dict(image='a')], r"b\.json. lists 'a' twice"),
        ([dict(image='a', width=4)], "width 4 and height None of 'a' must be two"),
        ([dict(image='a', height=4)], "width None and height 4 of 'a' must be two"),
        ([dict(image='a', width='4', height=4)], "width '4' and height 4 of 'a' must"),
        ([dict(image='a', width=4.5, height=4)], "width 4.5 and height 4 of 'a' must"),
        ([dict(image='a', width=0, height=4)], "width 0 and height 4 of 'a' must"),
        ([dict(image='a', boxes=[[1, 2, 3]])], r"boxes \[\[1, 2, 3\]\] of 'a' must"),
        ([dict(image='a', boxes=[1, 2, 3])], r"boxes \[1, 2, 3\] of 'a' must"),
        ([dict(image='a', boxes=[[1, 2, 3, 'q']])], "boxes .*'q'.* of 'a' must"),
        ([dict(image='{}', boxes=[[3, 0, 1, 2]])], r"json': '{}' has the box \[3.0, 0"),
        ([dict(image='a', boxes=[[0, 3, 2, 1]])], r"'a' has the box \[0.0, 3.0, 2.0"),
        ([dict(image='a', boxes=[[4, 0, 5, 2]])], 'the image of 4x4 pixels at least'),
        (
            [dict(image='a', width=9, height=20, boxes=[[1, 2, 3, 4], [0, 20, 1, 21]])],
            r"'a' has the box \[0.0, 20.0, 1.0, 21.0\].* of 9x20 pixels",
        ),
        (
            [dict(image='a', box=[[0, 0, 1, 1]])],
            "keys 'box', which nothing reads: did you mean boxes.* Allowed are image",
        ),
    ],
)
def test_errors_of_json(tmp_path, images, message):
    np.savez(tmp_path / 'm.npz', **{'a': np.eye(4), '{}': np.eye(4)})
    (tmp_path / 'b.json').write_text(json.dumps(images))
    with pytest.raises(ValueError, match=message):
        evaluate(tmp_path / 'm.npz', tmp_path / 'b.json')


def test_a_map_is_of_one_image(tmp_path):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    (tmp_path / 'b.csv').write_text('image\nx/a.jpg\ny/a.jpg\n')
    with pytest.raises(KeyError, match="entry 'a' fits two images, 'x/a' and 'y/a'"):
        evaluate(tmp_path / 'm.npz', tmp_path / 'b.csv')


def test_labels_beyond_the_scores_are_counted(tmp_path):
    np.savez(tmp_path / 'm.npz', a=np.eye(4), b=np.eye(4))
    (tmp_path / 'b.csv').write_text('image,label\na,1\nb,2\n')
    (tmp_path / 's.csv').write_text('a,0.2,0.8\nb,0.5,0.5\n')
    files = (tmp_path / 'm.npz', tmp_path / 'b.csv')
    found = evaluate(*files, scores=str(tmp_path / 's.csv'))
    assert found['wsol/num_labels_beyond_scores'] == 1
    assert found['wsol/top1_cls'] == 50
    (tmp_path / 's.csv').write_text('a,0.2,0.8,0\nb,0.5,0.5,0\n')
    found = evaluate(*files, scores=str(tmp_path / 's.csv'))
    assert 'wsol/num_labels_beyond_scores' not in found


def test_a_file_that_is_no_json(tmp_path):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    (tmp_path / 'b.json').write_text('[{"image": "a",}]')
    with pytest.raises(ValueError, match=r'b\.json. is no json file: .* line 1 column'):
        evaluate(tmp_path / 'm.npz', tmp_path / 'b.json')


@pytest.mark.parametrize(
    'box', [[-2, -2, 1, 1], [3, 1, 9, 2], [4, 1, 4, 3], [0, 0, 0, 0], [-9, -9, 9, 9]]
)
def test_boxes_that_are_fine(tmp_path, box):
    """Partly outside, or left without area by the crop of a view."""
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    (tmp_path / 'b.json').write_text(json.dumps([dict(image='a', boxes=[box])]))
    result = evaluate(tmp_path / 'm.npz', tmp_path / 'b.json')
    assert result['wsol/num_images'] == 1


@pytest.mark.parametrize(
    'content, message',
    [
        (b'no map', r"the map '.*a\.npy' of 'a\.jpg' is no array of numbers"),
        (b'', r"the map '.*a\.npy' of 'a\.jpg' is no array of numbers"),
        (np.zeros((1, 14, 14)), r"of 'a\.jpg' is float64 of the shape \(1, 14, 14\)"),
        (np.zeros((0, 4)), r"of 'a\.jpg' is float64 of the shape \(0, 4\)"),
        (np.array([['x']]), r"of 'a\.jpg' is <U1 of the shape \(1, 1\)"),
    ],
)
def test_maps_that_are_none(tmp_path, content, message):
    (tmp_path / 'b.csv').write_text('image\na.jpg\n')
    if isinstance(content, bytes):
        (tmp_path / 'a.npy').write_bytes(content)
    else:
        np.save(tmp_path / 'a.npy', content)
    with pytest.raises(ValueError, match=message):
        evaluate(tmp_path, tmp_path / 'b.csv')


@pytest.mark.parametrize('kind', ['text', 'cut', 'npy', 'inside'])
def test_archives_that_are_none(tmp_path, kind):
    file = tmp_path / 'm.npz'
    np.savez_compressed(file, a=np.arange(4096.0).reshape(64, 64))
    (tmp_path / 'b.csv').write_text('image\na\n')
    content = bytearray(file.read_bytes())
    if kind == 'text':
        file.write_text('no maps')
    elif kind == 'cut':
        file.write_bytes(content[:-30])
    elif kind == 'inside':
        content[200:300] = bytes(100)
        file.write_bytes(content)
    else:
        np.save(tmp_path / 'm.npy', np.eye(4))
        (tmp_path / 'm.npy').replace(file)
    with pytest.raises(ValueError, match=r'maps=.*m\.npz.* is no '):
        evaluate(file, tmp_path / 'b.csv')


def test_otsu(tmp_path):
    """Its cut parts 0.2 from 0.6, 0.15 does not."""
    pred_map = np.full((30, 40), 0.2)
    pred_map[0, 0] = 0
    pred_map[5:20, 8:30] = 0.6
    np.savez(tmp_path / 'm.npz', a=pred_map)
    (tmp_path / 'b.csv').write_text('image,x0,y0,x1,y1\na.png,8,5,30,20\n')
    files = tmp_path / 'm.npz', tmp_path / 'b.csv'
    assert evaluate(*files)['wsol/gt_known'] == 0
    result = evaluate(*files, threshold='otsu')
    assert result['wsol/gt_known'] == result['wsol/err_correct'] == 100
    assert result['wsol/iou_median'] == 100


def test_ignored_pixels_of_masks(tmp_path):
    """The map is right where the mask is not 255; there it is half and half."""
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:5], mask[:, 6:] = 7, 255
    pred_map = (mask > 0).astype(float)
    pred_map[:, 7] = 0
    (tmp_path / 'masks').mkdir()
    cv2.imwrite(str(tmp_path / 'masks' / 'a.png'), mask)
    np.savez(tmp_path / 'm.npz', a=pred_map)
    (tmp_path / 'b.csv').write_text('image\na\n')
    options = dict(masks=tmp_path / 'masks')
    files = tmp_path / 'm.npz', tmp_path / 'b.csv'
    result = evaluate(*files, foreground=7, **options)
    assert result['wsol/peak_iou'] == result['wsol/pxap'] == 100
    result = evaluate(*files, foreground=255, **options)  # 7 is background then
    # 6 of its 12 pixels, and 9 of the background
    assert result['wsol/peak_iou'] == pytest.approx(100 * 6 / (12 + 9))


@pytest.mark.parametrize(
    'values, message',
    [
        ((0, 255), r'of the value 1; they hold \[0, 255\].*`--foreground 255`'),
        ((0, 3, 255), r'of the value 1; they hold \[0, 3, 255\].*`--foreground 3`'),
        ((0,), r'of the value 1; they hold \[0\] alone: leave --masks out'),
    ],
)
def test_masks_without_an_object(tmp_path, values, message):
    np.savez(tmp_path / 'm.npz', a=np.eye(4), b=np.eye(4))
    (tmp_path / 'b.csv').write_text('image\na\nb\n')
    mask = np.resize(np.uint8(values), (4, 4))
    (tmp_path / 'masks').mkdir()
    for name in 'ab':
        cv2.imwrite(str(tmp_path / 'masks' / f'{name}.png'), mask)
    files = tmp_path / 'm.npz', tmp_path / 'b.csv'
    with pytest.raises(ValueError, match=message):
        evaluate(*files, masks=tmp_path / 'masks')
    mask[0, 0] = 1  # in one image is enough
    cv2.imwrite(str(tmp_path / 'masks' / 'b.png'), mask)
    evaluate(*files, masks=tmp_path / 'masks')


def test_masks_that_are_none(tmp_path):
    np.savez(tmp_path / 'm.npz', a=np.eye(4))
    (tmp_path / 'b.csv').write_text('image\na\n')
    (tmp_path / 'masks').mkdir()
    files = (tmp_path / 'm.npz', tmp_path / 'b.csv')
    with pytest.raises(FileNotFoundError, match='holds no .png file'):
        evaluate(*files, masks=tmp_path / 'masks')
    cv2.imwrite(str(tmp_path / 'masks' / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match='a.png is no PNG of one channel'):
        evaluate(*files, masks=tmp_path / 'masks')
