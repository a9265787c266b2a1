"""The first signal is a flag, the second one acts as ever, and the handlers go back to what they were."""

import os
import signal
import threading

import pytest

from hydra_sweep.signals import Interrupted, catch


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_the_flag(signum):
    before = signal.getsignal(signum)
    with catch() as stop:
        stop.check()
        os.kill(os.getpid(), signum)
        with pytest.raises(Interrupted, match=signal.Signals(signum).name):
            stop.check()
        assert stop.signum == signum
    assert signal.getsignal(signum) is before


def test_the_second_ctrl_c_acts_as_ever():
    with pytest.raises(KeyboardInterrupt), catch():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_handler_of_ones_own_hears_the_first_signal_once():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda signum, _: heard.append(signum))
    try:
        with catch() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        assert stop.signum == signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_after_the_last_check_is_not_lost():
    with pytest.raises(KeyboardInterrupt), catch():
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_was_ignored_is_ignored_again():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with catch() as stop:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signum == signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_touched():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with catch() as stop:
            seen.append((stop.signum, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
