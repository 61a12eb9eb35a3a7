"""What a certificate is said to be, valid or not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.authority import Authority
from tests.hostile import Hostile, closed_port, stalled

from dialtone.probes import tls

_NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A throw-away authority."""
    return Authority()


@pytest.fixture(scope="module")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The authority's own certificate in a file."""
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.ca.cert_pem.write_to_path(str(path))
    return str(path)


def test_valid(authority: Authority, ca_file: str) -> None:
    """A good certificate: valid, for this host, with its time, names, protocol and cipher."""
    with Hostile(authority.good(days=10)) as server:
        seen = tls.inspect(server.url("", "localhost"), ca_file=ca_file)
        later = tls.inspect(server.url("", "localhost"), ca_file=ca_file, now=datetime.now(UTC) + timedelta(days=9))
    assert (seen.valid, seen.failure, seen.host_matches) == (True, None, True)
    assert seen.days_left == pytest.approx(10, abs=0.01)
    assert later.days_left == pytest.approx(1, abs=0.01)
    assert (seen.subject, seen.protocol) == ("127.0.0.1", "TLSv1.3")
    assert seen.cipher
    assert seen.cipher.startswith("TLS_")


@pytest.mark.parametrize(
    ("make", "trusted", "failure", "host_matches", "not_after"),
    [
        (lambda a: a.expired(), True, "certificate expired on 2026-01-02", True, datetime(2026, 1, 2, 12, tzinfo=UTC)),
        (lambda a: a.expired(), False, "unknown authority", True, datetime(2026, 1, 2, 12, tzinfo=UTC)),
        (lambda a: a.good("x.example"), True, "the certificate is not for 127.0.0.1", False, None),
        (lambda a: a.good(), False, "unknown authority", True, None),
        (lambda a: a.self_signed(), False, "the certificate is self-signed", False, None),
        (lambda a: a.future(), True, "not valid yet, but from 2120-01-02", True, datetime(2121, 1, 2, tzinfo=UTC)),
    ],
    ids=["expired", "expired-unknown", "wrong-host", "unknown", "self-signed", "future"],
)
def test_not_valid(
    authority: Authority,
    ca_file: str,
    make: Any,
    trusted: bool,
    failure: str,
    host_matches: bool,
    not_after: datetime | None,
) -> None:
    """What is wrong is said, and the facts are known all the same."""
    with Hostile(make(authority)) as server:
        seen = tls.inspect(server.url(""), ca_file=ca_file if trusted else None, now=_NOW)
    assert not seen.valid
    assert failure in (seen.failure or "")
    assert seen.host_matches is host_matches
    assert seen.not_after is not None
    assert seen.days_left == pytest.approx((seen.not_after - _NOW) / timedelta(days=1))
    assert not_after in (None, seen.not_after)
    assert seen.issuer is not None


def test_no_certificate_at_all() -> None:
    """Whatever stands there instead of TLS is a reason, in bounded time."""
    with Hostile() as plain:
        found = tls.inspect(f"https://127.0.0.1:{plain.port}", timeout=30)
    assert found == tls.Certificate(False, "TLS handshake failed: the peer does not speak TLS")
    port = closed_port()
    assert tls.inspect(f"https://127.0.0.1:{port}").failure == f"connection refused at port {port}"
    with stalled() as port:
        failure = tls.inspect(f"https://127.0.0.1:{port}", timeout=0.2).failure or ""
    assert re.fullmatch(r"TLS handshake failed: it did not finish within \d\.\d s", failure)
    for url in ("https://127.0.0.1:99999999/", "https:///", "nothing", "https://[half"):
        assert tls.inspect(url).failure == "not a URL"
    assert tls.inspect("https://no-such-host.invalid").failure == "name no-such-host.invalid does not resolve"
