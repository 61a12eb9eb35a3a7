"""The process: ready, listening on loopback, gone in time; and the wire."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time

import httpx
import pytest

from dialtone.standins.config import ConfigError, from_json
from dialtone.standins.defects import DEFECTS, Switches
from dialtone.standins.exchange import own_answer
from dialtone.standins.server import _KEEP_ALIVE, bind
from dialtone.standins.standin import StandIn
from dialtone.standins.wire import Request


def test_every_listener_answers(standins):
    """Each port serves its own provider, over connections that stay open."""
    keys = {"stripe": "stripe_probe_key", "retell": "retell_probe_key", "telnyx": "telnyx_probe_key"}
    paths = {"stripe": "/v1/balance", "retell": "/get-concurrency", "telnyx": "/v2/balance"}
    with httpx.Client() as client:
        for provider, path in paths.items():
            headers = {"authorization": f"Bearer {standins.secrets[keys[provider]]}"}
            assert client.get(standins.url(provider) + path, headers=headers).status_code == 200
            assert client.head(standins.url(provider) + path, headers=headers).status_code == 404
        assert client.get(f"{standins.url('journal')}/health").json()["status"] == "ok"


def test_an_encoded_slash_arrives(standins):
    """Upstash's arguments in the path are decoded one by one."""
    headers = {"authorization": f"Bearer {standins.secrets['upstash_token']}"}
    assert httpx.get(f"{standins.url('upstash')}/set/a%2Fb/1", headers=headers).json() == {"result": "OK"}
    assert httpx.get(f"{standins.url('upstash')}/keys/a*", headers=headers).json() == {"result": ["a/b"]}


def test_a_fault_closes_and_delays_on_the_wire(standins):
    """Status 0 ends the connection without an answer; a delay is waited and does not hold up others."""
    journal, url = f"{standins.url('journal')}/faults", f"{standins.url('retell')}/get-concurrency"
    fault = {"provider": "retell", "path": "*", "ttl": 10}
    with httpx.Client(headers=standins.journal_headers) as client:
        for wanted in ({"status": 0, "contains": "close"}, {"status": 500, "delay": 0.2, "contains": "late"}):
            client.post(journal, json=fault | wanted).raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{url}?close")
        started = time.monotonic()
        assert client.get(f"{url}?late").status_code == 500
        assert 0.2 <= time.monotonic() - started < 20
        assert client.delete(journal).json() == {"removed": 2}


def test_a_body_that_is_too_long_is_refused(standins):
    """413 above 8 MB, and the stand-in goes on."""
    answer = httpx.post(standins.url("slack") + standins.secrets["slack_path"], content=b"x" * (9 * 2**20))
    assert answer.status_code == 413


def test_nonsense_on_the_wire_is_survived(standins):
    """What is not HTTP is 400 and what follows is served."""
    connection = http.client.HTTPConnection("127.0.0.1", standins.ports["slack"], timeout=30)
    connection.connect()
    connection.sock.sendall(b"nonsense\r\n\r\n")
    assert b"400" in connection.sock.recv(100)
    connection.close()
    assert httpx.get(standins.url("slack")).status_code == 404


def test_it_ends_on_sigterm(starter, tmp_path, monkeypatch):
    """Without a word, nothing left open, and long before a connection that is open would be given up."""
    monkeypatch.setenv("PYTHONWARNINGS", "always::ResourceWarning")
    running = starter(tmp_path, listeners=("stripe", "smtp", "journal"))
    with httpx.Client() as client:
        client.get(f"{running.url('journal')}/health")
        running.process.send_signal(signal.SIGTERM)
        output = running.process.communicate(timeout=_KEEP_ALIVE / 2)
    assert (output, running.process.returncode) == (("", ""), 0)


def test_it_ends_when_its_input_ends(starter, tmp_path):
    """With --until-eof the end of stdin is the end of it."""
    running = starter(tmp_path, "--until-eof", listeners=("slack", "journal"))
    running.process.communicate(timeout=_KEEP_ALIVE / 2)
    assert running.process.returncode == 0


def test_it_listens_on_loopback_only():
    """No other machine can reach a stand-in."""
    with bind(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_broken_stand_in_tells_no_content(capsys):
    """An error of the stand-in itself is a 500 and a line with its place, never with what was sent."""

    class Broken(StandIn):
        name = "broken"

        def answer(self, request):
            raise KeyError(request.text)

    answer = own_answer(Broken(), Request("POST", "/", raw=b"canary"))
    assert answer.status == 500
    written = capsys.readouterr()
    assert (written.out, "canary" in written.err) == ("", False)
    assert written.err.startswith("stand-in broken: KeyError at ")


def test_a_bad_configuration_is_one_line(tmp_path):
    """Exit code 2 and a line that names file and key."""
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"ports": {"stripe": 1, "journal": 2}, "secrets": {"journal_token": "t"}}))
    command = [sys.executable, "-m", "dialtone.standins", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    expected = f"stand-ins: {file}: secrets.stripe_secret_key: missing or empty, needed by the listener stripe\n"
    assert (ended.returncode, ended.stderr) == (2, expected)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ([], "object"),
        ({"color": 1}, "color"),
        ({"ports": {}}, "ports.journal"),
        ({"ports": {"journal": "80"}}, "ports.journal"),
        ({"ports": {"fax": 1, "journal": 2}}, "ports.fax"),
        ({"ports": {"google": 1, "journal": 2}}, "google_oauth"),
        ({"ports": {"journal": 2}, "secrets": {"journal_token": " "}}, "journal_token"),
        ({"ports": {"journal": 2}, "secrets": {"journal_token": 7}}, "secrets"),
        ({"ports": {"journal": 2}, "secrets": {"journal_token": "t"}, "app_url": 1}, "app_url"),
    ],
)
def test_configurations_that_are_refused(told, word):
    """The message names the key."""
    with pytest.raises(ConfigError, match=word):
        from_json(told)


def test_defects_are_described():
    """Every defect says what it is, where, and how it is applied."""
    for name, about in DEFECTS.items():
        assert set(about) - {"cause", "kind"} == {"what", "area", "how", "cascade"}, name
        assert about["how"] == "switch"


def test_switches_follow_their_file(tmp_path):
    """Replaced atomically, missing, or none at all."""
    file = tmp_path / "defects.json"
    switches = Switches(file)
    assert not switches.on("stripe-undelivered")
    for active in (["stripe-undelivered"], ["an-applications-own"], ["stripe-undelivered"]):
        (tmp_path / "new").write_text(json.dumps(active))
        (tmp_path / "new").replace(file)
        assert switches.on("stripe-undelivered") is (active == ["stripe-undelivered"])
    file.unlink()
    assert not switches.on("stripe-undelivered")
    assert not Switches(None).on("stripe-undelivered")
    with pytest.raises(KeyError):
        switches.on("no-such-defect")
