"""From a folder of images to a checkpoint, in one call and by the command."""

import os

import cv2
import numpy as np
import pytest
import torch
from mmengine.device import get_device
from mmengine.device import utils as device_utils

import bas_mm
from bas_mm.engine.runner import use_device
from tests.helpers.commands import call
from tests.helpers.report import Reader

#: Views of 64 pixels and no weights from elsewhere.
SMALL = {
    'model.backbone.init_cfg': None,
    **{
        f'{split}_dataloader.{key}': value
        for split, resize in (('train', 1), ('val', 2), ('test', 2))
        for key, value in {
            'num_workers': 0,
            f'dataset.pipeline.{resize}.scale': (72, 72),
            f'dataset.pipeline.{resize + 1}.crop_size': 64,
        }.items()
    },
}


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """A folder with ten images of two colors in ``photos``."""
    folder = tmp_path_factory.mktemp('training')
    rng = np.random.default_rng(0)
    for i in range(10):
        image = rng.integers(0, 99, (60, 80, 3))
        image[20:40, 30:60, i % 2] += 150
        path = folder / 'photos' / ('blue', 'green')[i % 2] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image.astype(np.uint8))
    return folder


@pytest.mark.slow
def test_one_call_and_the_command_are_the_same(photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    run = bas_mm.train('photos/', epochs=2, seed=0, cfg_options=SMALL)
    said = capsys.readouterr().out
    assert '8 images of 2 classes to train on, 2 to test (20 %' in said
    assert '2 epochs of 2 steps of 4 images, the first 1 for the classifier' in said
    assert f'Checkpoint: {run.checkpoint}' in said and f'Report: {run.report}' in said
    assert os.path.relpath(run.checkpoint, photos) == 'work_dirs/bas_photos/epoch_2.pth'
    # no boxes: classification, drawings and areas
    assert run.metrics['wsol/num_images'] == 2 and 'wsol/top1_cls' in run.metrics
    assert not any('gt_known' in name for name in run.metrics)
    page = Reader(open(run.report, encoding='utf-8').read())
    assert 'There are no ground-truth boxes: only classification.' in page.words
    assert 'of the view (median' in page.words
    drawings = [x for x in page.sources if x.startswith('data:image/jpeg')]
    assert len(drawings) == 2
    # the checkpoint is a model, and names the classes
    inferencer = run.inferencer(device='cpu')
    assert inferencer.classes == ['blue', 'green']
    (result,) = inferencer('photos/blue/0.png')
    assert len(result['bbox']) == 4
    # the config that is left knows the split: its training images are exported
    call('export', run.config, run.checkpoint, '--out', 'boxes.json')
    assert '8 images, 8 objects' in capsys.readouterr().out

    options = [f'{key}={value}' for key, value in SMALL.items()]
    options = [x.replace('(72, 72)', '72,72') for x in options]
    words = ['--epochs', 2, '--seed', 0, '--work-dir', 'other', '--no-validate']
    call('train', 'photos', *words, '--cfg-options', *options)
    assert not (photos / 'other' / 'report.html').exists()
    ours, theirs = (
        torch.load(path, weights_only=False)['state_dict']
        for path in (run.checkpoint, photos / 'other' / 'epoch_2.pth')
    )
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.slow
def test_boxes_are_measured_with_and_a_test_can_be_left_out(photos, monkeypatch):
    from tests.helpers.data import write_coco

    monkeypatch.chdir(photos)
    for i in (0, 1):
        color = ('blue', 'green')[i]
        for split in ('train', 'test'):
            (photos / 'two' / split / color).mkdir(parents=True)
            name = f'{i if split == "train" else i + 2}.png'
            (photos / 'two' / split / color / name).write_bytes(
                (photos / 'photos' / color / name).read_bytes()
            )
    boxes = [('blue/2.png', 30, 20, 30, 20), ('green/3.png', 30, 20, 30, 20)]
    write_coco(str(photos / 'two'), boxes, 'boxes.json', size=(80, 60))
    options = {**SMALL, 'model.head.topk': 1}
    run = bas_mm.train(photos / 'two', 'cam', epochs=1, cfg_options=options)
    assert 'wsol/gt_known' in run.metrics and run.metrics['wsol/num_images'] == 2
    assert os.path.basename(run.work_dir) == 'cam_two'
    run = bas_mm.train(
        photos / 'two', 'cam', epochs=1, test=False, work_dir='w', cfg_options=options
    )
    assert run.metrics == {} and run.report is None
    assert os.listdir(photos / 'w').count('epoch_1.pth') == 1


@pytest.mark.parametrize(
    'words, message',
    [
        (['bas_vgg16_cub', '--method', 'bas'], '--method is for a folder of images'),
        (['bas_vgg16_cub', '--epochs', 3], '--epochs .* train_cfg.max_epochs=N'),
        (['photos', '--data-root', 'x'], 'both say where the images are'),
        (['photos', '--method', 'bus'], "the method 'bus': choose one of"),
        (['photos', '--device', 'none'], "The device 'none' cannot be used"),
    ],
)
def test_what_cannot_be_had_ends_in_words(photos, monkeypatch, words, message):
    monkeypatch.chdir(photos)
    with pytest.raises(SystemExit, match=f'^ValueError: .*{message}'):
        call('train', *words)


def test_no_folder():
    with pytest.raises(FileNotFoundError, match="'nowhere' is no folder"):
        bas_mm.train('nowhere')


def test_runners_take_the_device_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(device_utils, 'DEVICE', 'npu')
    with use_device(None):
        assert get_device() == 'npu'
    with pytest.raises(RuntimeError), use_device(torch.device('cpu')):
        assert get_device() == 'cpu'
        raise RuntimeError
    assert get_device() == 'npu'
