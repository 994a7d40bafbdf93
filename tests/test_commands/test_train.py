"""Training from the command line, on a tiny stock classifier."""

import pytest
import torch

from tests.helpers.classifier import make_folder, read_weights
from tests.helpers.commands import TOOLS, call, run

DATA = ('--data-root', 'data')


def test_writes_checkpoint_and_grid(trained):
    assert (trained / 'one' / 'epoch_2.pth').is_file()
    assert (trained / 'one' / 'grid.png').is_file()


def test_resumed_run_equals_the_whole(trained, monkeypatch):
    (trained / 'two').mkdir()  # what a run killed in its second epoch leaves
    (trained / 'two' / 'last_checkpoint').write_text(
        str(trained / 'one' / 'epoch_1.pth')
    )
    monkeypatch.chdir(trained)
    words = ('--work-dir', 'two', '--resume', '--no-validate')
    call('train', 'tiny.py', *DATA, *words)
    assert not (trained / 'two' / 'epoch_1.pth').exists()
    whole = read_weights(trained / 'one' / 'epoch_2.pth')
    parts = read_weights(trained / 'two' / 'epoch_2.pth')
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-3, atol=1e-5, msg=key)


def test_two_processes_equal_one(trained):
    """With half the batch each, on CPU."""
    words = ('--work-dir', 'pair', '--no-validate')
    half = ('--cfg-options', 'train_dataloader.batch_size=2')
    run(trained, TOOLS / 'dist_train.sh', 'tiny.py', 2, *DATA, *words, *half)
    one = read_weights(trained / 'one' / 'epoch_2.pth')
    pair = read_weights(trained / 'pair' / 'epoch_2.pth')
    for key, value in one.items():
        torch.testing.assert_close(pair[key], value, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize(
    'words, message',
    [
        (['--amp'], '^ValueError: --amp needs a GPU'),
        (['--auto-scale-lr'], 'tiny.py has none: .*base_batch_size=N'),
        (
            ['--cfg-options', 'model.type=Nothing'],
            r"(?s)^KeyError: .*Nothing.*--debug shows where",
        ),
        (['--data-root', 'gone'], '(?s)^FileNotFoundError: .*gone'),
    ],
)
def test_what_cannot_be_had_ends_in_words(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(make_folder(tmp_path))
    monkeypatch.setattr('bas_mm.commands.train.get_device', lambda: 'cpu')
    with pytest.raises(SystemExit, match=message):
        call('train', 'tiny.py', '--work-dir', 'w', *words)


def test_a_config_of_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="bas_vgg16_kub.*bas_vgg16_cub"):
        call('train', 'bas_vgg16_kub')
    with pytest.raises(SystemExit, match=r"file 'foto/'.* Nor is there a folder of im"):
        call('train', 'foto/')
