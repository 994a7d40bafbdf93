"""``bas-mm export``."""

import csv
import json

import numpy as np
import pytest
import torch

import bas_mm
from bas_mm.datasets import CustomLocalization
from bas_mm.utils.configs import build_dataset
from tests.helpers.commands import call
from tests.helpers.inference import decode, make_folder
from tests.helpers.tiny import build, write_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))
    return tmp_path


WORDS = ('export', 'tiny.py', 'tiny.pth', '--data-root', 'data')


def export(*argv):
    call(*WORDS, '--out', 'boxes.json', *argv)
    return json.loads(open('boxes.json').read())


@pytest.mark.parametrize('split', ['train', 'test'])
def test_boxes_and_masks_follow_the_labels(folder, split):
    data = export('--topk', 1, '--split', split)
    assert data['info']['map_label'] == 'gt'
    assert data['info']['checkpoint'] == 'tiny.pth'
    assert [image['file_name'] for image in data['images']] == [
        f'{"abc"[i // 2]}/{i}.png' for i in range(6)
    ]
    assert [one['category_id'] for one in data['annotations']] == [1, 1, 2, 2, 3, 3]
    inferencer = bas_mm.WSOLInferencer('tiny.pth', show_progress=False)
    for i, one in enumerate(data['annotations']):
        (result,) = inferencer(
            f'data/{"abc"[i // 2]}/{i}.png', classes=i // 2, return_mask=True
        )
        x, y, w, h = one['bbox']
        assert [x, y, x + w, y + h] == pytest.approx(result['bbox'].tolist(), abs=0.01)
        assert one['score'] == pytest.approx(float(result['scores'][i // 2]), abs=1e-5)
        assert (decode(one['segmentation']) == result['mask']).all()
        assert one['area'] == result['mask'].sum()


def test_without_labels_the_model_says(folder):
    data = export('--use-labels', 'never')
    assert data['info']['map_label'] == 'pred'
    results = bas_mm.WSOLInferencer('tiny.pth', show_progress=False)('data')
    assert [one['category_id'] for one in data['annotations']] == [
        result['pred_label'] + 1 for result in results
    ]


def test_an_object_for_each_component(folder):
    data = export('--multi', '--threshold', 0.5)
    assert len(data['annotations']) > 6
    for one in data['annotations']:
        ys, xs = np.nonzero(decode(one['segmentation']))
        x, y, w, h = one['bbox']
        assert (
            np.abs(
                np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                - [x, y, x + w, y + h]
            ).max()
            <= 1
        )


def test_the_data_set_reads_its_own_export(folder):
    """The boxes come back through the reader of COCO json."""
    data = export()
    dataset = CustomLocalization('data', box_file='../boxes.json', pipeline=[])
    for i, one in enumerate(data['annotations']):
        x, y, w, h = one['bbox']
        assert dataset.get_data_info(i)['gt_bboxes'][0] == pytest.approx(
            [x, y, x + w, y + h], abs=1e-3
        )


def test_pycocotools_loads_it(folder):
    coco = pytest.importorskip('pycocotools.coco').COCO
    data = export()
    loaded = coco('boxes.json')
    for one in data['annotations']:
        mask = loaded.annToMask(loaded.anns[one['id']])
        assert (mask == decode(one['segmentation'])).all()


def test_detections(folder):
    """They are as good as can be, measured against the same boxes and masks."""
    coco = pytest.importorskip('pycocotools.coco').COCO
    cocoeval = pytest.importorskip('pycocotools.cocoeval').COCOeval
    export()
    call(*WORDS, '--out', 'results.json', '--format', 'coco-results')
    truth = coco('boxes.json')
    found = truth.loadRes('results.json')
    assert len(found.anns) == 6
    for kind in ('bbox', 'segm'):
        judge = cocoeval(truth, found, kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        assert judge.stats[0] == pytest.approx(1)


def test_the_data_set_reads_the_voc_folder(folder):
    data = export()
    call(*WORDS, '--out', 'voc', '--format', 'voc')
    dataset = CustomLocalization('data', box_file='../voc', pipeline=[])
    for i, one in enumerate(data['annotations']):
        x, y, w, h = one['bbox']
        assert dataset.get_data_info(i)['gt_bboxes'][0] == pytest.approx(
            [x, y, x + w, y + h], abs=1
        )


def test_csv_and_yolo(folder):
    data = export()
    call(*WORDS, '--out', 'boxes.csv', '--format', 'csv')
    with open('boxes.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    call(*WORDS, '--out', 'yolo', '--format', 'yolo')
    for row, image, one in zip(rows, data['images'], data['annotations']):
        x, y, w, h = one['bbox']
        assert row['image'] == image['file_name']
        assert int(row['label']) + 1 == one['category_id']
        assert row['class'] == 'abc'[int(row['label'])]
        assert float(row['score']) == one['score']
        assert (int(row['width']), int(row['height'])) == (
            image['width'],
            image['height'],
        )
        corners = [float(row[key]) for key in ('x0', 'y0', 'x1', 'y1')]
        assert corners == pytest.approx([x, y, x + w, y + h], abs=2e-3)
        text = (
            (folder / 'yolo' / 'labels' / row['image']).with_suffix('.txt').read_text()
        )
        label, *numbers = map(float, text.split())
        assert label == int(row['label'])
        sides = [image['width'], image['height']] * 2
        numbers = [number * side for number, side in zip(numbers, sides)]
        assert numbers == pytest.approx([x + w / 2, y + h / 2, w, h], abs=2e-3)
    assert len(rows) == 6


@pytest.mark.parametrize('name', ['coco', 'csv', 'voc', 'yolo'])
def test_a_file_for_a_folder_and_the_other_way(folder, name):
    out = folder / 'out'
    if name in ('voc', 'yolo'):
        out.write_text('')
        match = 'out is a file, but .*Folder writes a folder.*--out.*--format'
    else:
        out.mkdir()
        match = 'out is a folder, but .*File writes a file.*--out.*--format'
    with pytest.raises(SystemExit, match=match):
        call(*WORDS, '--out', out, '--format', name)
    # before the model is loaded
    with pytest.raises(SystemExit, match=match):
        call('export', 'no.py', 'no.pth', '--out', out, '--format', name)


@pytest.mark.parametrize(
    'out, fault',
    [('tiny.py/x.json', 'tiny.py is not a folder'), ('/proc/x.json', 'takes no file')],
)
def test_an_output_that_cannot_be_is_told_first(folder, out, fault):
    if out.startswith('/proc') and not (folder / '/proc/self').exists():
        pytest.skip('there is no /proc')
    with pytest.raises(
        SystemExit, match=f'{out} cannot be written: .*{fault}.*--out.$'
    ):
        call('export', 'no.py', 'no.pth', '--out', out)


def test_wrong_counts_and_bad_images(folder):
    (folder / 'data' / 'd').mkdir()
    (folder / 'data' / 'd' / 'x.png').write_bytes(
        (folder / 'data' / 'a' / '0.png').read_bytes()
    )
    with pytest.raises(SystemExit, match='4 classes and the model 3'):
        export()
    (folder / 'data' / 'd' / 'x.png').rename(folder / 'data' / 'a' / '0.png')
    (folder / 'data' / 'd').rmdir()
    (folder / 'data' / 'b' / '2.png').write_bytes(b'')
    with pytest.raises(SystemExit, match='2.png.*; --on-error skip leaves out'):
        export('--batch-size', 1)
    part = json.loads(open('boxes.json').read())
    assert len(part['images']) == 2 and part['info']['complete'] is False
    data = export('--on-error', 'skip')
    assert [one['category_id'] for one in data['annotations']] == [1, 1, 2, 3, 3]
    assert data['info']['complete'] is True
    assert data['info']['skipped'][0]['file_name'] == 'b/2.png'
    before = open('boxes.json').read()
    (folder / 'data' / 'a' / '0.png').write_bytes(b'')
    with pytest.raises(SystemExit, match='0.png'):
        export()
    assert open('boxes.json').read() == before  # nothing was found


def test_names_of_another_model(folder):
    (folder / 'data' / 'b').rename(folder / 'data' / 'bee')
    with pytest.raises(
        SystemExit, match="Class 1 is 'bee' in the data set and 'b' in the model.*--use"
    ):
        export()
    data = export('--use-labels', 'never')
    assert [one['name'] for one in data['categories']] == ['a', 'b', 'c']
    # numbers say nothing
    checkpoint = torch.load('tiny.pth', weights_only=False)
    torch.save(dict(state_dict=checkpoint['state_dict']), 'tiny.pth')
    assert len(export()['images']) == 6


@pytest.mark.parametrize('kind', ['ToyLocalization', 'CUBLocalization'])
def test_names_of_the_data_it_was_trained_on(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    cfg, model = build(write_config(tmp_path))
    dataset = build_dataset(cfg, 'train', pipeline=[])
    names = ('Black_footed_Albatross', 'b', 'c')
    if kind == 'CUBLocalization':
        lines = [f'{i} {i:03d}.{name}\n' for i, name in enumerate(names, 1)]
        (tmp_path / 'toy' / 'classes.txt').write_text(''.join(lines))
        more = ('num_classes', 'train_per_class', 'test_per_class', 'image_size')
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            loader.dataset.type = f'bas_mm.{kind}'
            for key in more:
                del loader.dataset[key]
        dataset = build_dataset(cfg, 'train', pipeline=[])
        assert tuple(dataset.metainfo['classes']) == names
    cfg.dump('cfg.py')
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dataset.metainfo)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), 'own.pth')
    call('export', 'cfg.py', 'own.pth', '--out', 'boxes.json')
    data = json.loads(open('boxes.json').read())
    assert [one['name'] for one in data['categories']] == [
        str(name) for name in dataset.metainfo['classes']
    ]
    assert data['info']['map_label'] == 'gt' and len(data['images']) == 9


def test_names_below_a_root_in_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    monkeypatch.setenv('USERPROFILE', str(folder))
    root = 'train_dataloader.dataset.data_root=~/data'
    call(*WORDS[:3], '--cfg-options', root, '--out', 'boxes.json')
    data = json.loads(open('boxes.json').read())
    assert data['images'][0]['file_name'] == 'a/0.png'


def test_one_image_and_one_object(folder, capsys):
    for name in ('a/1', 'b/3', 'c/5'):
        (folder / 'data' / f'{name}.png').unlink()
    export('--cfg-options', 'train_dataloader.dataset.indices=[0]')
    assert '1 image, 1 object, 0 left out: boxes.json' in capsys.readouterr().out
