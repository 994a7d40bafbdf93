import cv2
import numpy as np
import pytest
import torch
from torch import nn

from bas_mm.apis.ddt import ddt_boxes, largest_box


class Pooled(nn.Module):
    """Features: mean colors of a grid of cells."""

    def data_preprocessor(self, data, training):
        return dict(inputs=torch.stack(data['inputs']).float())

    def extract_feat(self, inputs, stage):
        assert stage == 'pre_logits'
        return nn.functional.adaptive_avg_pool2d(inputs, 8)


@pytest.fixture
def infos(tmp_path):
    """Two classes: what is colored is the object, red or green; others gray."""
    rng = np.random.default_rng(0)
    infos = []
    for i in range(6):
        img = np.full((80, 160, 3), 100, np.uint8)
        y, x = 10 * rng.integers(0, 5), 20 * rng.integers(0, 5)
        img[y : y + 30, x : x + 60, 1 + i % 2] = 250
        img[70:, 140:, 1 + i % 2] = 250  # smaller: not the largest component
        path = str(tmp_path / f'{i}.png')
        cv2.imwrite(path, img)
        infos.append(dict(img_path=path, gt_label=i % 2, true=[x, y, x + 60, y + 30]))
    return infos


def test_the_object_of_each_class_is_boxed(infos):
    found = list(ddt_boxes(Pooled(), infos, size=64, batch_size=2))
    assert [one.number for one in found] == [0, 2, 4, 1, 3, 5]
    for one in found:
        assert one.shape == (80, 160)
        assert one.box.tolist() == infos[one.number]['true']


def test_classes_do_not_see_each_other(infos):
    alone = list(ddt_boxes(Pooled(), infos[::2], size=64))
    both = list(ddt_boxes(Pooled(), infos, size=64, batch_size=3))[:3]
    assert [one.box.tolist() for one in alone] == [one.box.tolist() for one in both]


def test_images_without_a_label(infos):
    with pytest.raises(ValueError, match=r'DDT compares.*0\.png.* has no label'):
        list(ddt_boxes(Pooled(), [dict(img_path=infos[0]['img_path'])]))


def test_nothing_is_the_whole_image():
    assert largest_box(torch.zeros(2, 3) > 0, (10, 20)).tolist() == [0, 0, 20, 10]
    assert list(ddt_boxes(Pooled(), [])) == []
