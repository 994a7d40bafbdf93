"""What all commands share."""

import pytest

import bas_mm
from bas_mm.commands import COMMANDS, build_parser, main


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


def test_a_command_that_does_not_exist():
    with pytest.raises(SystemExit, match="no command 'trian'; did you mean train?"):
        main(['trian'])
    with pytest.raises(SystemExit, match='it has train, test, localize'):
        main(['xyz'])


def test_errors_end_in_one_line_unless_asked(tmp_path):
    words = ['localize', str(tmp_path / 'gone.jpg')]
    with pytest.raises(SystemExit, match='^FileNotFoundError: .*gone.jpg'):
        main(words)
    with pytest.raises(FileNotFoundError, match='gone.jpg'):
        main([*words, '--debug'])
