"""``bas-mm webapp``."""

import socket
import sys
from unittest import mock

import pytest

from bas_mm.commands import webapp
from tests.helpers.commands import call
from tests.helpers.inference import make_files


def test_page_is_started(tmp_path, capsys, monkeypatch):
    make_files(tmp_path)
    pages, started = [], []

    class Page:
        def launch(self, **kwargs):
            started.append(kwargs)

        def block_thread(self):
            started.append('stays')

    monkeypatch.setattr(webapp, 'import_gradio', lambda: None)
    monkeypatch.setattr(webapp, 'build_page', lambda i, _: pages.append(i) or Page())
    call('webapp', '--model', tmp_path / 'tiny.pth', '--port', 81, '--device', 'cpu')
    assert len(pages[0].classes) == 3
    launched, stays = started
    assert stays == 'stays'
    assert launched['server_name'] == '127.0.0.1' and launched['server_port'] == 81
    assert launched['share'] is False and launched['prevent_thread_lock'] is True
    assert 'http://127.0.0.1:81' in capsys.readouterr().out


def test_a_port_that_is_taken_is_said_before_an_address(tmp_path, capsys):
    pytest.importorskip('gradio')
    make_files(tmp_path)
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=rf'127.0.0.1:{port}, .*another --port'):
            call('webapp', '--model', tmp_path / 'tiny.pth', '--port', port)
    assert 'Open http' not in capsys.readouterr().out


def test_no_such_port(capsys):
    with pytest.raises(SystemExit):
        call('webapp', '--port', 99999999)
    assert '--port must be 1 to 65535, got 99999999' in capsys.readouterr().err


def test_without_gradio(tmp_path):
    """Said before a model is loaded: there is none here."""
    with mock.patch.dict(sys.modules, gradio=None):
        with pytest.raises(SystemExit, match=r"ImportError: .*bas-mm\[webapp\]"):
            call('webapp', '--model', tmp_path / 'none.pth')
