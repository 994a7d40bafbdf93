import signal
import threading

import pytest

from bas_mm.utils.signals import taking_signals


def test_what_took_them_before_takes_them_again():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    seen = []
    with pytest.raises(KeyError):
        with taking_signals(
            [signal.SIGTERM, signal.SIGINT], lambda number, _: seen.append(number)
        ):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            raise KeyError
    assert seen == [signal.SIGINT, signal.SIGTERM]
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_another_thread_takes_none():
    found = []

    def work():
        with taking_signals([signal.SIGTERM], found.append):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
