"""Which backbones can be cut, tried by a command."""

import re
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmpretrain.models import backbones
from mmpretrain.registry import MODELS

from bas_mm.analysis.backbones import (
    backbone_table,
    choose_start,
    list_backbones,
    try_backbone,
)

PAGE = Path(__file__).parents[2] / 'docs' / 'backbones.md'


def read_page():
    """Names that work and names that do not, of the page in the docs."""
    fine, rest = re.split(r'\n\n(?=\| backbone .*what it says)', PAGE.read_text())
    return [
        [line.split('|')[1].strip() for line in part.splitlines() if line[:2] == '| ']
        for part in (fine, rest)
    ]


def test_every_backbone_of_mmpretrain_is_tried():
    names = {name for name, _ in list_backbones() if not name.startswith('timm: ')}
    concrete = {
        name
        for name in backbones.__all__
        if name not in ('TIMMBackbone', 'CSPNet') and name in MODELS.module_dict
    }
    assert names == concrete and len(names) > 60


def test_the_page_has_a_row_for_each():
    fine, rest = read_page()
    names = [name for name, _ in list_backbones()]
    assert sorted(fine[1:] + rest[1:]) == sorted(names)
    assert sum(not name.startswith('timm') for name in fine[1:]) >= 40
    assert {'SwinTransformer', 'VisionTransformer', 'DeiT3', 'ConvNeXt'} <= set(fine)


@pytest.mark.parametrize('name', ['VGG', 'MobileNetV2', 'timm: mobilenetv3_small_100'])
def test_what_works(name):
    if name.startswith('timm'):
        pytest.importorskip('timm')
    row = try_backbone(name, dict(list_backbones())[name])
    assert row.said == '' and row.start and name in read_page()[0]
    feat, last = (tuple(map(int, x.split('x'))) for x in row.feats.split(' / '))
    assert len(feat) == len(last) == 3 and feat[1] >= last[1]


def test_what_does_not_work_says_why():
    row = try_backbone('HRNet', dict(list_backbones())['HRNet'])
    assert row.said.startswith('ValueError: HRNet cannot be cut')
    assert row.start == row.feats == ''
    row = try_backbone('VGG', dict(type='VGG', depth=12))
    assert 'Invalid depth 12' in row.said or 'depth' in row.said


def test_a_model_that_does_not_train_is_found():
    with mock.patch('torch.Tensor.norm', lambda grad: torch.tensor(0.0)):
        row = try_backbone('VGG', dict(type='VGG', depth=11))
    assert row.said.startswith('ValueError: bas_mm.BASHead does not train')


def test_the_cut_is_where_maps_get_smaller_for_the_last_time():
    for strides, start in (((1, 2, 2, 2), 'layer4.0'), ((1, 1, 1, 1), 'maxpool')):
        trunk = MODELS.build(dict(type='ResNet', depth=18, strides=strides))
        trunk.eval()  # not chained: it gives None
        assert choose_start(trunk, None) == start


def test_table():
    good = try_backbone('VGG', dict(type='VGG', depth=11))
    bad = good._replace(name='Other', start='', feats='', said='ValueError: no')
    text = backbone_table([bad, good])
    assert text.startswith('1 of 2 work.')
    first, second = text.split('\n\n')[1:]
    assert '`depth=11`' in first and 'Other' not in first
    assert 'ValueError: no' in second
