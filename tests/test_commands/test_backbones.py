import pytest

from tests.helpers.commands import call


def test_writes_the_table_below_what_stands_there(tmp_path, capsys):
    page = tmp_path / 'page.md'
    page.write_text('# Backbones\n\nWords.\n\n')
    for _ in range(2):
        call('backbones', '--only', 'LeNet5', '--out', page)
        text = page.read_text()
        assert text.startswith('# Backbones\n\nWords.\n\n1 of 1 work.\n\n| backbone ')
        assert text.count('LeNet5') == 1
    assert 'LeNet5' in capsys.readouterr().out


def test_a_name_that_is_none():
    with pytest.raises(SystemExit, match=r"--only \['Vgg'\]: the names are .*VGG"):
        call('backbones', '--only', 'Vgg')
