import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

import bas_mm
from bas_mm import registry
from bas_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class Backwards(DefaultSampler):
    """A sampler of our own registry."""

    def __iter__(self):
        return iter(reversed(list(super().__iter__())))


def test_samplers_of_our_registry_reach_the_runners_loaders():
    loader = Runner.build_dataloader(
        dict(
            dataset=torch.utils.data.TensorDataset(torch.arange(4)),
            sampler=dict(type='bas_mm.Backwards', shuffle=False),
            batch_size=2,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
        )
    )
    assert [batch[0].tolist() for batch in loader] == [[3, 2], [1, 0]]


def test_what_a_method_needs_is_imported_from_the_package():
    names = sorted(bas_mm._LAZY)
    assert {'WSOLClassifier', 'TwoNetworks', 'Acts', 'DATA_SAMPLERS'} <= set(names)
    for name in names:
        assert getattr(bas_mm, name).__module__.startswith('bas_mm') or (
            name == 'DATA_SAMPLERS'
        ), name
    assert bas_mm.DATA_SAMPLERS is DATA_SAMPLERS


def test_every_registry_is_a_child_of_mmengines():
    for name in registry.__all__:
        ours = getattr(registry, name)
        assert ours.scope == 'bas_mm' and ours.parent is not None, name
