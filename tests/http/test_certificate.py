"""The certificate reader, with `cryptography` as the witness of what a certificate says."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialtone.http import certificate

# Neither a busy machine nor a first import is a finding.
steady = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_CA = trustme.CA(organization_name="Dialtone tests")


def _issue(*names: str, common_name: str | None = None, until: datetime = datetime(2049, 12, 31, tzinfo=UTC)) -> bytes:
    made = _CA.issue_cert(*names, common_name=common_name, not_before=datetime(2020, 1, 2, tzinfo=UTC), not_after=until)
    return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())


_SAMPLE = _issue("a.example", "127.0.0.1")


@pytest.mark.parametrize("until", [datetime(2049, 12, 31, tzinfo=UTC), datetime(2121, 5, 6, 7, 8, 9, tzinfo=UTC)])
def test_facts(until: datetime) -> None:
    """Validity (both forms of time), names and addresses are as the witness reads them."""
    der = _issue("a.example", "*.b.example", "127.0.0.1", "::1", common_name="Größe", until=until)
    seen, witness = certificate.read(der), x509.load_der_x509_certificate(der)
    assert seen.not_before == witness.not_valid_before_utc
    assert seen.not_after == witness.not_valid_after_utc == until
    assert seen.names == ("a.example", "*.b.example", "127.0.0.1", "::1")
    assert seen.subject == "Größe"


def test_version_without_names() -> None:
    """An authority's certificate has no alternative names."""
    seen = certificate.read(ssl.PEM_cert_to_DER_cert(_CA.cert_pem.bytes().decode()))
    assert seen.names == ()
    assert not seen.matches("a.example")


@pytest.mark.parametrize(
    ("host", "matches"),
    [
        ("a.example", True),
        ("A.Example.", True),
        ("x.b.example", True),
        ("b.example", False),
        ("x.y.b.example", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("0:0:0:0:0:0:0:1", True),
        ("other.example", False),
    ],
)
def test_hosts(host: str, matches: bool) -> None:
    """A wildcard stands for one label; addresses are compared as numbers."""
    assert certificate.read(_issue("a.example", "*.b.example", "127.0.0.1", "::1")).matches(host) is matches


@steady
@given(st.integers(0, len(_SAMPLE) - 1), st.integers(1, 255))
def test_any_flipped_byte(at: int, flip: int) -> None:
    """Whatever a peer shows is read or is not a certificate."""
    data = bytearray(_SAMPLE)
    data[at] ^= flip
    with contextlib.suppress(ValueError):
        certificate.read(bytes(data)).matches("a.example")


@steady
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Nonsense is not a certificate."""
    with pytest.raises(ValueError, match="not a certificate"):
        certificate.read(data)
