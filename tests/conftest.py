"""Before each test, the generators of its file are brought to a start of its own."""

import gc

from helpers import start_streams


def pytest_collection_finish():
    # what is there by now stays to the end: a collection of garbage, which many tests ask for, need not look through it
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    start_streams(str(item.path), item.name)
