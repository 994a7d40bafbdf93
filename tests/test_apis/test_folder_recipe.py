"""What is chosen for a folder of images."""

import json
import os

import pytest

from bas_mm.apis.folder_recipe import (
    choose_schedule,
    list_methods,
    plan_folder,
    stretch,
)
from bas_mm.utils.configs import load_config_file
from tests.helpers.data import write_coco, write_image, write_text


@pytest.fixture
def photos(tmp_path):
    """Ten images of two classes."""
    for i in range(10):
        write_image(str(tmp_path), 'photos', ('cat', 'dog')[i % 2], f'{i}.jpg')
    return tmp_path / 'photos'


def test_class_folders_alone(photos):
    recipe = plan_folder(photos)
    assert recipe.config == 'bas_efficientnet-lite0_custom'
    assert recipe.data_root == str(photos)
    settings = recipe.settings
    for split in ('train', 'val', 'test'):
        assert settings[f'{split}_dataloader.dataset.split_seed'] == 0
        assert settings[f'{split}_dataloader.dataset.test_ratio'] == 0.2
    # 4 of 5 images of each class: batches of half of them, and 100 steps
    assert settings['train_dataloader.batch_size'] == 4
    assert settings['train_cfg.max_epochs'] == settings['train_cfg.val_interval'] == 50
    assert settings['default_hooks.warmup.epochs'] == 28  # 5 of 9
    assert settings['param_scheduler.1.milestones'] == [28]
    first, second, third = recipe.summary
    assert '8 images of 2 classes to train on, 2 to test (20 % of each class' in first
    assert 'no boxes, no masks' in second
    assert '50 epochs of 2 steps of 4 images, the first 28 for the classifier' in third


def test_settings_of_the_user_are_followed(photos):
    options = {
        'train_dataloader.batch_size': 3,
        'train_dataloader.dataset.test_ratio': 0.4,
        'test_dataloader.dataset.test_ratio': 0.4,
    }
    recipe = plan_folder(photos, 'cam', 6, options)
    assert '6 images of 2 classes to train on, 4 to test (40 % of' in recipe.summary[0]
    assert '6 epochs of 2 steps of 3 images; on' in recipe.summary[2]
    assert 'default_hooks.warmup.epochs' not in recipe.settings  # CAM has none
    recipe = plan_folder(photos, cfg_options={'train_cfg.max_epochs': 18})
    assert recipe.settings['default_hooks.warmup.epochs'] == 10
    assert recipe.settings['default_hooks.checkpoint.interval'] == 2


def test_train_and_test_folders(tmp_path):
    for name in ('train/cat/a', 'train/dog/b', 'train/dog/c', 'test/dog/d'):
        write_image(str(tmp_path), f'{name}.jpg')
    write_coco(str(tmp_path), [('test/dog/d.jpg', 1, 2, 10, 20)], 'boxes.json')
    write_image(str(tmp_path), 'masks/test/dog/d.png')
    recipe = plan_folder(str(tmp_path))
    assert '3 images of 2 classes to train on, 1 to test' in recipe.summary[0]
    assert 'held out' not in recipe.summary[0]
    assert recipe.summary[1] == 'To measure with: boxes.json, masks'
    settings = recipe.settings
    assert settings['test_dataloader.dataset.box_file'] == str(tmp_path / 'boxes.json')
    assert settings['val_dataloader.dataset.mask_dir'] == str(tmp_path / 'masks')
    assert not any(key.startswith('train_dataloader.dataset') for key in settings)


def test_predicted_boxes_are_no_truth(photos):
    write_coco(str(photos), [('cat/0.jpg', 1, 2, 10, 20)], 'boxes.json')
    recipe = plan_folder(photos)
    assert recipe.summary[1] == 'To measure with: boxes.json'
    file = photos / 'boxes.json'
    coco = json.loads(file.read_text())
    coco['annotations'][0]['score'] = 0.5  # as `bas-mm export` writes them
    file.write_text(json.dumps(coco))
    recipe = plan_folder(photos)
    assert recipe.summary[1] == (
        'To measure with: no boxes, no masks; boxes.json holds predictions (they '
        'have scores), not used'
    )
    assert not any('box_file' in key for key in recipe.settings)


def test_train_folder_alone(tmp_path):
    for i in range(4):
        write_image(str(tmp_path), 'train', 'ab'[i % 2], f'{i}.jpg')
    recipe = plan_folder(tmp_path)
    assert recipe.data_root == str(tmp_path / 'train')
    assert '2 images of 2 classes to train on, 2 to test (20 % of' in recipe.summary[0]


def test_masks_beside_the_classes_are_no_class(photos):
    write_image(str(photos), 'masks/cat/0.png')
    recipe = plan_folder(photos)
    assert ' of 2 classes' in recipe.summary[0]
    assert recipe.summary[1] == 'To measure with: masks'
    write_image(str(photos), 'masks/1.jpg')  # now it holds images: photos of masks
    assert ' of 3 classes' in plan_folder(photos).summary[0]


def test_the_number_of_steps_hardly_depends_on_that_of_images():
    for n in [*range(2, 400), 1000, 4000, 6000]:
        batch_size, epochs = choose_schedule(n)
        steps = epochs * -(-n // batch_size)
        assert 100 <= steps <= 800, n
        assert 1 <= batch_size <= 16 and epochs >= 2
    # as the shipped configs: CUB's six species, the toy set, ILSVRC's cut
    for n, epochs in ((180, 9), (300, 9), (4000, 2)):
        assert choose_schedule(n) == (16, epochs)
    assert choose_schedule(1) == (1, 100)


@pytest.mark.parametrize('epochs, warmup', [(1, 0), (2, 1), (3, 2), (9, 5), (90, 50)])
def test_stretched_schedules_end_with_all_terms(epochs, warmup):
    settings = stretch(load_config_file('bas_efficientnet-lite0_custom'), epochs)
    assert settings['default_hooks.warmup.epochs'] == warmup
    assert settings['param_scheduler.1.milestones'] == [warmup]
    assert settings['train_cfg.max_epochs'] == epochs


def test_what_cannot_be_trained_on(tmp_path, photos):
    with pytest.raises(FileNotFoundError, match="'nowhere' is no folder .*each class"):
        plan_folder('nowhere')
    with pytest.raises(ValueError, match="the method 'bus': choose one of .*bas,"):
        plan_folder(photos, 'bus')
    with pytest.raises(ValueError, match=r'At least 1 epoch .* got 0 \(--epochs\)'):
        plan_folder(photos, epochs=0)
    os.mkdir(tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='empty.* holds no image .*each class'):
        plan_folder(tmp_path / 'empty')
    write_image(str(tmp_path), 'empty/a.jpg')
    with pytest.raises(FileNotFoundError, match='has 1 image and no folder of images'):
        plan_folder(tmp_path / 'empty')
    write_image(str(tmp_path), 'one/cat/a.jpg')
    write_image(str(tmp_path), 'one/cat/b.jpg')
    with pytest.raises(ValueError, match="one class folder, 'cat'.*at least two"):
        plan_folder(tmp_path / 'one')
    write_image(str(tmp_path), 'two/test/cat/a.jpg')
    with pytest.raises(ValueError, match='test/ and no train/: add it'):
        plan_folder(tmp_path / 'two')
    for name in ('cat', 'dog'):
        write_text(str(tmp_path), 'three', name, 'a.jpg')
    with pytest.raises(ValueError, match='two images of some class'):
        plan_folder(tmp_path / 'three')


def test_methods_are_those_with_a_config():
    assert {'bas', 'cam'} <= set(list_methods())
