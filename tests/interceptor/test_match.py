"""From a request to the faults that mean it: the index finds what a look at each fault would find."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dialtone.interceptor.board import Board
from dialtone.interceptor.heads import RequestHead
from dialtone.interceptor.plan import parse

_SEGMENTS = st.sampled_from(["v1", "v2", "a", "charges", "ch_1"])
_PATHS = st.lists(_SEGMENTS, max_size=4).map(lambda parts: "/" + "/".join(parts))
_WANTED = st.one_of(
    _PATHS, _PATHS.map(lambda path: path + "/"), _PATHS.map(lambda path: path + "*"),
    _PATHS.map(lambda path: path + "/*"), _PATHS.map(lambda path: path.replace("v1", "v?")), st.just("*/charges"),
)  # fmt: skip
_HOSTS = st.sampled_from(["api.test", "other.test", "*.test"])
_FAULTS = st.lists(
    st.fixed_dictionaries({}, optional={"host": _HOSTS, "path": _WANTED, "method": st.sampled_from(["GET", "POST"])}),
    max_size=12,
)


@given(_FAULTS, st.lists(st.tuples(st.sampled_from(["api.test", "other.test"]), _PATHS), min_size=1, max_size=5))
def test_the_index_finds_what_a_look_at_each_fault_finds(
    wanted: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> None:
    """The same faults, each once, in the order of their plans; what is near is never less than that."""
    board = Board(lambda: 0.0)
    faults = board.put(parse({"faults": [{"fault": "latency", "seconds": 1, "match": one} for one in wanted]}))
    for host, path in asked:
        head = RequestHead(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        looked = [fault for fault in faults if fault.matcher.head(host, head)]
        found = board.index.candidates(host, head) if board.index is not None else []
        assert found == looked
        near = board.index.near(host, head.path) if board.index is not None else []
        assert len(near) == len({fault.id for fault in near})
