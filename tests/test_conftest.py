"""What all tests stand on: an interpreter that parses while garbage is collected."""

from __future__ import annotations

import ast
import gc
import inspect


class _Parses:
    """Garbage that only the collector finds, and that parses when it goes, as a traceback does that is printed."""

    gone = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        ast.parse("a = 1")
        _Parses.gone += 1


def test_parsing_is_not_disturbed_by_what_is_collected_meanwhile():
    """Without the lock in `conftest.py` most of these rounds end in a SystemError of Python 3.11.0 to 3.11.7."""
    source, thresholds = inspect.getsource(ast), gc.get_threshold()
    gc.set_threshold(100, 20, 50)
    try:
        for many in range(30):
            for _ in range(1 + many % 7):
                _Parses()
            assert isinstance(ast.parse(source), ast.Module)
    finally:
        gc.set_threshold(*thresholds)
    assert _Parses.gone > 0
