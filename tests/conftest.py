"""Before each test, the generators of its file are brought to a start of its own."""

from helpers import start_streams


def pytest_runtest_setup(item):
    start_streams(str(item.path), item.name)
