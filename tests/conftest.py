"""Before each test, the generators of its file are brought to a start of its own."""

import gc

from helpers import start_streams

_file = None


def pytest_runtest_setup(item):
    global _file
    if item.path != _file:
        # what is there by now, modules that a test imported among it, stays: a collection of garbage, which many tests ask for, need not look through it
        _file = item.path
        gc.collect()
        gc.freeze()
    start_streams(str(item.path), item.name)
