"""`dialtone import`: what is taken over from Gatus and Upptime, what is left, and that its checks run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.start.test_init import Shop, first_run, shop

from dialtone import cli
from dialtone.start import gatus, upptime
from dialtone.start.imported import ImportRefused, profile
from dialtone.target import load

__all__ = ["shop"]

# After the configuration that Gatus ships and the example of its README.
GATUS = """
metrics: true
endpoints:
  - name: front-end
    group: core
    url: "https://twin.sh/health"
    interval: 5m
    conditions:
      - "[STATUS] == 200"
      - "[BODY].status == UP"
      - "[RESPONSE_TIME] < 150"
  - name: back-end
    url: "https://example.org/"
    conditions:
      - "[STATUS] == 200"
      - "[CERTIFICATE_EXPIRATION] > 48h"
  - name: make-sure-header-is-rendered
    url: "https://example.org/"
    conditions:
      - "[STATUS] == 200"
      - "[BODY] == pat(*<h1>Example Domain</h1>*)"
      - "len([BODY].items) > 5"
      - "[RESPONSE_TIME] < 300"
  - name: slower
    url: "https://example.org/slow"
    alerts: [{type: slack}]
    conditions: ["[STATUS] == 200", "[RESPONSE_TIME] < 900"]
  - name: example-dns-query
    url: "8.8.8.8"
    dns: {query-name: example.com, query-type: A}
    conditions: ["[DNS_RCODE] == NOERROR"]
  - name: icmp-ping
    url: "icmp://example.org"
    conditions: ["[CONNECTED] == true"]
  - name: teapot
    url: "https://example.org/tea"
    conditions: ["[STATUS] == any(200, 418)"]
  - name: writes
    method: POST
    url: "https://example.org/items"
    conditions: ["[STATUS] == 200"]
  - name: secret
    url: "https://user:pass@example.org/"
    conditions: ["[STATUS] == 200"]
  - name: check-domain-expiration
    url: "https://example.org/"
    interval: 1h
    conditions: ["[DOMAIN_EXPIRATION] > 720h"]
  - name: self-signed
    url: "https://example.org/self"
    client: {insecure: true}
    conditions: ["[STATUS] == 200"]
  - name: only-up
    url: "https://example.org/api"
    conditions: ["[CONNECTED] == true", "[CERTIFICATE_EXPIRATION] > 720h"]
  - name: price-aggregation-service
    url: "price-aggregation-service-grpc.org:443"
    grpc: {service: grpc.health.v1.Health, method: Check}
    conditions: ["[BODY].status == SERVING"]
"""

# After the examples of Upptime's page on configuration.
UPPTIME = """
owner: koj-co
repo: upptime
sites:
  - name: Google
    url: https://www.google.com
  - name: Ping
    check: tcp-ping
    url: smtp.example.com
    port: 587
  - name: POST to Google
    url: https://www.google.com/search
    method: POST
  - name: Secret Site
    url: $SECRET_SITE
  - name: API endpoint
    url: https://example.com/get-user/3?api_key=$MY_API_KEY
  - name: Authorized
    url: https://example.com/get-user/3
    headers: ["Authorization: Bearer $SECRET_SITE_2"]
  - name: Self-signed
    url: https://example.com/self
    __dangerous__insecure: true
  - name: Custom down
    url: https://example.com/down
    __dangerous__body_down: "File not found"
  - name: Slow
    url: https://example.com/a?b=1
    maxResponseTime: 5000
    expectedStatusCodes: [200, 404]
    icon: https://example.com/i.png
  - name: Gone
    url: https://example.com/gone
    expectedStatusCodes: [410]
  - name: Text
    url: https://example.com
    __dangerous__body_down_if_text_missing: "Example Domain"
assignees: [AnandChowdhary]
"""


def test_gatus(tmp_path: Path) -> None:
    """A target for each origin; what has no place is listed, never dropped."""
    found = gatus.read(yaml.safe_load(GATUS))
    (tmp_path / "dialtone.toml").write_text(profile(found, "config.yaml"))
    twin = load(tmp_path / "dialtone.toml", "twin_sh", {}).profile
    assert twin.routes == {"health": "/health"}
    assert (twin.fields, twin.values) == ({"health_status": "status"}, {"health_ok": "UP", "timed": "/health"})
    assert twin.objectives["response_time_p95"].alert == 150
    example = load(tmp_path / "dialtone.toml", "example_org", {}).profile
    assert example.routes == {"back_end": "/", "slower": "/slow"}
    assert example.pages["make_sure_header_is_rendered"].contains == "<h1>Example Domain</h1>"
    assert (example.objectives["certificate_days"].alert, example.objectives["response_time_p95"].alert) == (2, 300)
    assert found.left == [
        "metrics: not taken over",
        "make-sure-header-is-rendered: len([BODY].items) > 5: not taken over",
        "slower: alerts: not taken over",
        "example-dns-query: dns: only a plain GET is taken over",
        "icmp-ping: icmp: only HTTP is looked at",
        "teapot: [STATUS] == any(200, 418): checks ask for 200",
        "writes: method POST: only GET is sent to a production",
        "secret: its address holds a credential: name one in [credentials] and headers instead",
        "check-domain-expiration: [DOMAIN_EXPIRATION] > 720h: it may answer anything, and checks ask for 200",
        "self-signed: its certificate is not verified there, and is here: name its authority in ca_file of the target",
        "only-up: [CONNECTED] == true; [CERTIFICATE_EXPIRATION] > 720h: it may answer anything, and checks ask for 200",
        "price-aggregation-service: an address without a scheme: only HTTP is looked at",
        "slower: response time 900 ms: one response time is watched on example_org, that of /",
    ]


def test_upptime(tmp_path: Path) -> None:
    """Sites by their origin; ports, other methods and secrets are listed."""
    found = upptime.read(yaml.safe_load(UPPTIME))
    (tmp_path / "dialtone.toml").write_text(profile(found, ".upptimerc.yml"))
    assert load(tmp_path / "dialtone.toml", "www_google_com", {}).profile.routes == {"google": "/"}
    example = load(tmp_path / "dialtone.toml", "example_com", {}).profile
    assert example.routes == {"custom_down": "/down", "slow": "/a?b=1"}
    assert example.pages["text"].contains == "Example Domain"
    assert example.values == {"timed": "/a?b=1"}
    assert found.left == [
        "assignees: not taken over",
        "Ping: check tcp-ping: only HTTP is looked at",
        "POST to Google: method POST: only GET is sent to a production",
        "Secret Site: its address is a variable: write it out",
        "API endpoint: its address is a variable: write it out",
        "Authorized: body or headers: only a plain GET is taken over",
        "Self-signed: its certificate is not verified there, and is here: name its authority in ca_file of the target",
        "Custom down: __dangerous__body_down: not taken over",
        "Slow: icon: not taken over",
        "Gone: expectedStatusCodes [410]: checks ask for 200",
        "statuses other than 200 that were good: checks ask for 200",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: []", "an old version of Gatus"),
        ("endpoints: {}", "has to be a list of tables"),
        ("version: 9", "not a configuration of Gatus that is known here"),
        ("[]", "not a configuration of Gatus"),
        ("endpoints: [{name: x}]", "endpoints[0]: url is missing"),
        ("endpoints: [{url: 'https://a.example', conditions: 5}]", "conditions have to be a list of text"),
        ("a: [", "not YAML, line"),
        ("a: !!python/object/apply:os.getcwd []", "not YAML"),
    ],
)
def test_an_unknown_form_is_an_error(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what was expected, and nothing is written."""
    (tmp_path / "config.yaml").write_text(text)
    assert cli.main(["import", "gatus", str(tmp_path / "config.yaml"), "--at", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_upptime_of_another_form() -> None:
    """Neither a table without sites nor one with wrong values is guessed at."""
    for config in (None, {"sites": "x"}, {"sites": [{"url": "https://a.example", "maxResponseTime": "soon"}]}):
        with pytest.raises(ImportRefused):
            upptime.read(config)


def test_imported_checks_run(tmp_path: Path, shop: tuple[type[Shop], str], capsys: pytest.CaptureFixture[str]) -> None:
    """Green while the service is well, red when it is not; a second import writes over nothing."""
    kind, url = shop
    (tmp_path / "config.yaml").write_text(
        f'endpoints:\n  - {{name: home, url: "{url}/", conditions: ["[BODY] == pat(*<title>Shop*)"]}}\n'
        f'  - {{name: up, url: "{url}/up", conditions: ["[STATUS] == 200", "[BODY].healthy == true"]}}\n'
    )
    command = ["import", "gatus", str(tmp_path / "config.yaml"), "--at", str(tmp_path)]
    assert cli.main(command) == 0
    assert "taken over: 2, left: 0" in capsys.readouterr().out
    assert cli.main(command) == 1
    assert "there already" in capsys.readouterr().err
    target = "127_0_0_1_" + url.rpartition(":")[2]
    done = first_run(tmp_path, "checks", "--target", target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 ok" in done.stdout
    kind.broken = True
    assert first_run(tmp_path, "checks", "--target", target).returncode == 1
