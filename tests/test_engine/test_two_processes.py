"""Two processes, or two batches a step, train as one with their batches joined."""

import pytest
import torch

from tests.helpers.classifier import read_weights
from tests.helpers.kills import end, start
from tests.helpers.tiny import write_config

#: Without BatchNorm, whose statistics are of a process's own batch, and without
#: what is drawn for an image.
MORE = """
model['backbone'] = dict(
    type='ResNet', depth=18, base_channels=4, stem_channels=4,
    norm_cfg=dict(type='GN', num_groups=2))
model['neck'] = dict(type='bas_mm.SplitNeck', start='layer4')
model['head'].update(in_channels=32, CHANNELS)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=3))))
for step in train_dataloader['dataset']['pipeline']:
    if step['type'] == 'RandomCrop':
        step.update(type='CenterCrop')
    if step['type'] == 'RandomFlip':
        step.update(prob=0.0)
train_dataloader['dataset'].update(indices=8)
randomness = dict(seed=0)
"""


def weights(folder, name, batch_size, processes, *options):
    options = (f'train_dataloader.batch_size={batch_size}', *options)
    words = ('--work-dir', name, '--no-validate', '--cfg-options', *options)
    started = start(folder, *words, processes=processes, config=name[:3] + '.py')
    assert end(started) == [0] * processes, (folder / 'out0.txt').read_text()
    return read_weights(folder / name / 'epoch_2.pth')


@pytest.mark.parametrize('method', ['BAS', 'CAM'])
def test_as_one_process_with_joined_batches(tmp_path, method):
    path = write_config(tmp_path, method)
    channels = 'map_channels=16' if method == 'BAS' else ''
    path.write_text(path.read_text() + MORE.replace('CHANNELS', channels))
    name = method.lower()
    one = weights(tmp_path, name, 4, 1)
    two = weights(tmp_path, f'{name}-two', 2, 2)
    apart = weights(tmp_path, f'{name}-apart', 4, 2)  # joined, they are 8
    summed = weights(
        tmp_path, f'{name}-summed', 2, 1, 'optim_wrapper.accumulative_counts=2'
    )
    assert one.keys() == two.keys() == summed.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(summed[key], value, rtol=1e-4, atol=1e-6)
    assert any(
        not torch.allclose(apart[key], value, rtol=1e-3, atol=1e-5)
        for key, value in one.items()
    )
