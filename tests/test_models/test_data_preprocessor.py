import torch

from bas_mm.models import WSOLDataPreprocessor


def test_preprocessor_treats_crops_as_it_treats_views():
    preprocessor = WSOLDataPreprocessor(
        mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True
    )
    view = torch.randint(0, 255, (2, 3, 8, 8), dtype=torch.uint8)
    crops = torch.stack([view, view + 1, view], 1)
    out = preprocessor(dict(inputs=list(view), crops=list(crops)))
    mean, std = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None, None]
    torch.testing.assert_close(out['inputs'], (view.flip(1).float() - mean) / std)
    assert out['crops'].shape == (2, 3, 3, 8, 8)
    torch.testing.assert_close(out['crops'][:, 0], out['inputs'])
    torch.testing.assert_close(out['crops'][:, 1], out['inputs'] + (1 / std))
    collated = preprocessor(dict(inputs=view, crops=crops))
    assert torch.equal(collated['crops'], out['crops'])
    assert 'crops' not in preprocessor(dict(inputs=list(view)))


def test_channels_last_gives_the_same_numbers():
    data = dict(inputs=[torch.randint(0, 255, (3, 8, 8), dtype=torch.uint8)])
    last = WSOLDataPreprocessor(channels_last=True)(data)['inputs']
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, WSOLDataPreprocessor()(data)['inputs'])
