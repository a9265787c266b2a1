"""Runs an app that is killed at a chosen moment: fatal.py before|after FUNCTION COUNT WORD APP ..."""

import functools
import os
import pkgutil
import runpy
import signal
import sys


def arm(moment, function, count, word=""):
    """Kills this process before or after so many calls of a function; calls that don't have the word don't count."""
    owner, _, name = function.rpartition(".")
    owner = pkgutil.resolve_name(owner)
    call, left = getattr(owner, name), [int(count)]

    @functools.wraps(call)
    def mortal(*args, **kwargs):
        left[0] -= word in f"{args} {kwargs}"
        is_last = left[0] == 0 and word in f"{args} {kwargs}"
        if is_last and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        returned = call(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return returned

    setattr(owner, name, mortal)


if __name__ == "__main__":
    arm(*sys.argv[1:5])
    del sys.argv[:5]
    runpy.run_path(sys.argv[0], run_name="__main__")
