"""Data that is read as a whole."""

from bas_mm.datasets.check import check_data
from tests.helpers.data import write_coco, write_image, write_text


def make(root):
    for i in range(10):
        write_image(str(root), ('cat', 'dog')[i % 2], f'{i}.jpg')
    return root


def test_a_folder_is_split_as_for_training(tmp_path):
    make(tmp_path)
    write_coco(str(tmp_path), [('cat/0.jpg', 1, 2, 10, 20)], 'boxes.json')
    write_image(str(tmp_path), 'masks/cat/2.png')
    train, test = check_data(str(tmp_path))
    assert (train.split, test.split) == ('train', 'test')
    assert train.classes == {'cat': 4, 'dog': 4}
    assert test.classes == {'cat': 1, 'dog': 1}
    assert train.boxes + test.boxes == train.masks + test.masks == 1
    assert not train.problems and not test.problems


def test_a_training_folder_alone_is_divided(tmp_path):
    make(tmp_path / 'train')
    write_coco(str(tmp_path), [('train/cat/0.jpg', 1, 2, 10, 20)], 'b.json')
    train, test = check_data(str(tmp_path), box_file='b.json')
    assert (train.images, test.images) == (8, 2)
    assert train.boxes + test.boxes == 1  # the file lies below the folder named


def test_test_images_alone(tmp_path):
    make(tmp_path / 'test')
    (test,) = check_data(str(tmp_path))
    assert (test.split, test.images) == ('test', 10)


def test_images_that_are_not_read_are_named(tmp_path):
    make(tmp_path)
    write_image(str(tmp_path), 'loose.jpg')
    write_text(str(tmp_path), 'cat/phone.HEIC', text='')
    write_text(str(tmp_path), 'cat/notes.txt', text='')
    train, test = check_data(str(tmp_path))
    assert test.problems == {}
    assert train.problems == {
        'images that lie in no folder of a class': [str(tmp_path / 'loose.jpg')],
        'images of a type that is not read': [str(tmp_path / 'cat/phone.HEIC')],
    }


def test_one_class_is_a_problem(tmp_path):
    for i in range(3):
        write_image(str(tmp_path), 'cat', f'{i}.jpg')
    train, _ = check_data(str(tmp_path))
    assert train.problems == {'one class alone, and a classifier needs two': ['cat']}
