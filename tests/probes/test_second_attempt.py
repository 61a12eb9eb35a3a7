"""A read that fails on the way is tried once more: the first answer counts, both are samples of the history."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.hostile import closed_port

from dialtone.history import Store
from dialtone.http import Answer, Failure, FailureKind
from dialtone.http.answer import Url
from dialtone.probes.reach import Reach
from dialtone.verdict import Bad

if TYPE_CHECKING:
    from tests.conftest import Suite

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ANSWERED = "a second attempt over a new connection was answered (200): the path breaks, or single connections"
FAILED = "a second attempt over a new connection failed as well"
CHECK = """
@check(runbook="x")
def test_a(http):
    expect(http.{method}("/x")).status(200)
"""


class Cutting:
    """Cuts its first connections with a reset, and answers those after them."""

    def __init__(self, cuts: int) -> None:
        self.cuts, self.taken = cuts, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(60)
                if not peer.recv(4096):
                    continue  # a witness only knocks
                self.taken += 1
                if self.taken <= self.cuts:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    peer.sendall(ANSWER)

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def cutting(request: pytest.FixtureRequest) -> Iterator[Cutting]:
    """A service that cuts as many connections as the parameter says."""
    made = Cutting(request.param)
    yield made
    made.close()


def kept(suite: Suite) -> tuple[int, int, str]:
    """Samples, bad ones and the reason that the history holds."""
    store = Store.open(suite.pytester.path / "history.db")
    (result,) = store.results("preview", "a")
    store.close()
    return result.samples, result.bad, result.reason


@pytest.mark.parametrize(("cutting", "bad", "words"), [(1, 1, ANSWERED), (2, 2, FAILED)], indirect=["cutting"])
def test_the_first_answer_counts_and_both_are_kept(
    suite: Suite, cutting: Cutting, bad: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was cut is a failure, whatever came of the second; the second says whose."""
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    suite.profile(base=cutting.url)
    suite.checks(CHECK.format(method="get"))
    assert suite.run().ret == 1
    assert suite.verdicts == {"a": "breach"}
    assert suite.check("a")["samples"] == 2
    assert cutting.taken == 2
    samples, wrong, reason = kept(suite)
    assert (samples, wrong) == (2, bad)
    assert reason.endswith(f"; {words}")


def test_a_target_that_is_down_fails_twice(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Critical, with two samples of which none was good."""
    monkeypatch.setenv("DIALTONE_HISTORY", "history.db")
    suite.profile(base=f"http://127.0.0.1:{closed_port()}")
    suite.checks(CHECK.format(method="get"))
    assert suite.run().ret == 1
    assert suite.verdicts == {"a": "critical"}
    assert kept(suite)[:2] == (2, 2)
    assert suite.check("a")["reason"].count(FAILED) == 1


@pytest.mark.parametrize("cutting", [9], indirect=True)
@pytest.mark.parametrize(
    ("method", "more"), [("post", ""), ("get", '[target.preview.budget]\nrequests = 1\nwindow = "1m"\n')]
)
def test_what_may_not_be_repeated_is_not(suite: Suite, cutting: Cutting, method: str, more: str) -> None:
    """A POST may have taken effect; a budget that is used up stays so."""
    suite.profile(base=cutting.url, more=more)
    suite.checks(CHECK.format(method=method).replace('runbook="x"', 'runbook="x", requests=1'))
    assert suite.run().ret == 1
    assert cutting.taken == 1
    assert suite.check("a")["samples"] == 1
    assert "second attempt" not in suite.check("a")["reason"]


@pytest.mark.parametrize("cutting", [1], indirect=True)
def test_a_later_failure_is_not_explained_by_an_earlier_path(suite: Suite, cutting: Cutting) -> None:
    """What was cut and tolerated has nothing to do with what fails afterwards."""
    suite.profile(base=cutting.url)
    suite.checks('@check(runbook="x")\ndef test_a(http):\n    http.get("/x")\n    expect(http.get("/y")).status(204)\n')
    suite.run()
    assert suite.check("a")["reason"] == "GET /y: answered 200, not 204"


def test_an_origin_that_answered_the_second_is_not_remembered_as_dead() -> None:
    """Critical by its first answer, and the next check asks for itself."""
    down = Answer("GET", Url("http://a.example/x"), failure=Failure(FailureKind.REFUSED, "connection refused"))
    reach = Reach(())
    with pytest.raises(Bad, match="the target did not answer: ") as told:
        reach.judge(down, Answer("GET", Url("http://a.example/x"), 200))
    assert told.value.finding.samples == 2
    assert reach.known_dead("http://a.example") is None
    with pytest.raises(Bad, match="the target is down: "):
        reach.judge(down, down)
    assert reach.known_dead("http://a.example") == f"connection refused; {FAILED}"
