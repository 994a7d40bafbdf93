import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

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


def test_every_registry_is_a_child_of_mmengines():
    for name in registry.__all__:
        ours = getattr(registry, name)
        assert ours.scope == 'bas_mm' and ours.parent is not None, name
