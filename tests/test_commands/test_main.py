"""What all commands share."""

import sys

import pytest

import bas_mm
from bas_mm.commands import COMMANDS, build_parser, main
from tests.helpers.classifier import make_folder
from tests.helpers.commands import call, run
from tests.helpers.inference import make_files


def test_help_names_every_command(capsys):
    main(['--help'])
    lines = capsys.readouterr().out.splitlines()
    for name, text in COMMANDS.items():
        assert [line.split(None, 1) for line in lines].count([name, text]) == 1


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_has_a_parser_and_a_long_help(name):
    text = build_parser(name).format_help()
    assert text.startswith(f'usage: bas-mm {name} ') and '--debug' in text
    assert len(text.split('options:')[0].splitlines()) > 3


def test_version(capsys):
    main(['--version'])
    assert capsys.readouterr().out == f'bas-mm {bas_mm.__version__}\n'


def loads_torch(folder, *words, code=0):
    done = run(folder, sys.executable, '-X', 'importtime', *words, code=code)
    modules = {line.split('|')[-1].strip() for line in done.stderr.splitlines()}
    assert 'bas_mm.commands' in modules
    return 'torch._C' in modules


def test_only_a_command_waits_for_torch(tmp_path):
    script = 'from bas_mm.commands import main\nmain()\n'
    (tmp_path / 'bas-mm').write_text(script)  # as pip writes it
    for words in (['--help'], ['-h'], [], ['--version']):
        assert not loads_torch(tmp_path, '-m', 'bas_mm', *words), words
        assert not loads_torch(tmp_path, 'bas-mm', *words), words
    assert not loads_torch(tmp_path, 'bas-mm', 'trian', code=1)
    assert loads_torch(tmp_path, 'bas-mm', 'check', '--help')


def test_whoever_else_imports_the_package_has_its_loaders(tmp_path):
    (tmp_path / 'other.py').write_text(
        'import bas_mm\n'
        'from mmengine.runner.checkpoint import CheckpointLoader\n'
        'loaders = {x.__module__ for x in CheckpointLoader._schemes.values()}\n'
        "assert 'bas_mm.engine.checkpoint' in loaders\n"
    )
    assert loads_torch(tmp_path, 'other.py', '--help')
    assert loads_torch(tmp_path, '-c', 'import bas_mm', 'bas_mm', '--help')
    assert loads_torch(tmp_path, '-m', 'bas_mm.commands.check', '--help')


def test_a_command_that_does_not_exist():
    with pytest.raises(SystemExit, match="no command 'trian'; did you mean train?"):
        main(['trian'])
    with pytest.raises(SystemExit, match='it has train, test, calibrate'):
        main(['xyz'])


def test_errors_end_in_one_line_unless_asked(tmp_path):
    words = ['localize', str(tmp_path / 'gone.jpg')]
    with pytest.raises(SystemExit, match='^FileNotFoundError: .*gone.jpg'):
        main(words)
    with pytest.raises(FileNotFoundError, match='gone.jpg'):
        main([*words, '--debug'])


def test_a_setting_that_does_not_exist_ends_in_one_line(tmp_path, monkeypatch):
    make_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ['train', 'tiny.py', '--data-root', 'data', '--cfg-options']
    with pytest.raises(
        SystemExit, match=r"^ValueError: --cfg-options .*model\.head.* no 'foo'"
    ):
        call(*words, 'model.head.foo=1')


def test_options_of_the_config_are_pairs(capsys):
    with pytest.raises(SystemExit):
        main(['train', 'x.py', '--cfg-options', 'a=1', 'foo'])
    assert "--cfg-options takes KEY=VALUE pairs, got 'foo'" in capsys.readouterr().err


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04cut'])
def test_a_file_that_is_no_checkpoint_ends_in_one_line(tmp_path, content):
    (tmp_path / 'bad.pth').write_bytes(content)
    words = ['localize', 'x.jpg', '--model', str(tmp_path / 'bad.pth')]
    with pytest.raises(SystemExit, match='^CheckpointError: .*bad.pth.*cannot be read'):
        main(words)


@pytest.mark.parametrize('device', ['foo', 'cuda:77'])
def test_a_device_that_is_not_there_ends_in_one_line(tmp_path, device):
    make_files(tmp_path)
    words = ['localize', 'x.jpg', '--model', str(tmp_path / 'tiny.pth')]
    with pytest.raises(SystemExit, match=rf"device '{device}' cannot.*--device"):
        main([*words, '--device', device])
