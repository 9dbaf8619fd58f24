"""Ctrl-C is a wish first and an order the second time."""

import os
import signal

import pytest

from persam.dreambooth.train.stop import stop_on_signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_interrupts(number: signal.Signals):
    lines: list[str] = []
    before = signal.getsignal(number)
    with stop_on_signal(lines.append) as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), number)
        assert should_stop()
        assert lines == ["stopping after this step, with a checkpoint; once more stops at once, without"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
