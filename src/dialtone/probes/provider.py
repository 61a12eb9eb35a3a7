"""Reads of external APIs with the prober's own credential.

A refusal of that credential says nothing about the provider or the application: it is `unknown: refused`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlencode, urljoin

from dialtone.assertions import describe, refusal
from dialtone.http import Answer, Client, Limits, shared_context
from dialtone.judging import running
from dialtone.probes.caller import AGENT
from dialtone.probes.reach import Reach
from dialtone.probes.shared import Shared
from dialtone.target import Target
from dialtone.target.provider import Provider
from dialtone.verdict import Misdeclared, Offline, Refused, Unarmed, Undecided


def ask(
    target: Target,
    reach: Reach,
    name: str,
    path: str | None = None,
    form: str | None = None,
    shared: Shared | None = None,
) -> Answer:
    """One read of a provider: its probe, or another path. Raises Refused for 401, 403 and 429 to the prober.

    With a `form` (URL-encoded, may be empty) it is a POST of that, for checks whose effect is more than to read. The
    reads that the profile names (`probe`, `deliveries`, `endpoints`) are `shared` within a run.
    """
    provider = target.provider(name)
    where = path or provider.probe
    if where is None:
        raise Unarmed(f"the profile has no providers.{name}.probe")
    method = provider.method if form is None else "POST"
    url = _url(target, provider, where)

    def send() -> Answer:
        count_read(target, name)
        with _client(target, provider) as client:
            headers = {**target.headers(provider.headers), **_authority(target, provider, client, name)}
            if form is not None:
                headers["content-type"] = "application/x-www-form-urlencoded"
            return client.send(method, url, headers=headers, content=form)

    if shared is not None and form is None and where in (provider.probe, provider.deliveries, provider.endpoints):
        answer = shared.answer(f"{method} {name} {url}", send)
    else:
        answer = send()
    running().exchanges.append(lambda: {"request": f"{method} {name} {answer.path}", **describe(answer)})
    if answer.failure and not reach.online():
        raise Offline("no witness answers: the prober is offline")
    expected = path is None and answer.status in provider.status and answer.status != 200
    if not expected:
        judged_access(target, name, answer)
    if answer.ok and answer.is_html:
        raise Undecided(
            f"{name} answered a web page where its API answers JSON: something stands in between"
            f" (a proxy, a portal), or providers.{name}.base_url is not its API"
        )
    return answer


def judged_access(target: Target, name: str, answer: Answer) -> None:
    """Raise what an answer means that says nothing about the provider, with the remedy."""
    provider = target.provider(name)
    if in_front := refusal(answer):
        raise Refused(f"{name}: {in_front}")
    if answer.status in (401, 403):
        variable = target.profile.credentials.get(provider.credential or "", "the prober's credential")
        remedy = "renew" if answer.status == 401 else "give more rights to"
        raise Refused(f"{name} answered {answer.status} to the prober's own credential: {remedy} {variable}")
    if answer.status == 429:
        raise Refused(f"{name} answered 429: the prober asks more often than its account allows; run rounds less often")


@contextmanager
def opened(target: Target, name: str, credential: str | None = None) -> Iterator[Callable[..., Answer]]:
    """`send(method, path, content)` to a provider, with one token for all; with another credential if one is named.

    Raises Refused or Undecided where no access token can be had.
    """
    provider = target.provider(name)
    provider = provider.model_copy(update={"credential": credential}) if credential else provider
    with _client(target, provider) as client:
        headers = {**target.headers(provider.headers), **_authority(target, provider, client, name)}

        def send(method: str, where: str, content: bytes | None = None) -> Answer:
            url = _url(target, provider, where)
            kind = {"content-type": "application/json"} if content else {}
            return client.send(method, url, headers={**headers, **kind}, content=content)

        yield send


def access_token(target: Target, name: str) -> str:
    """An access token of a provider, got with the prober's own refresh token; raises Refused or Undecided."""
    provider = target.provider(name)
    if provider.credential is None:
        raise Unarmed(f"the profile has no providers.{name}.credential")
    with _client(target, provider) as client:
        return _access_token(target, provider, client, name, target.secret(provider.credential))


def count_read(target: Target, name: str) -> None:
    """Count a read of the running check; raises Misdeclared for more of them than are summed against the quota."""
    record = running()
    record.reads[name] = record.reads.get(name, 0) + 1
    most = record.meta.reads
    if target.provider(name).quota is not None and record.reads[name] > most:
        raise Misdeclared(f"it reads {name} more often than the quota is planned for: say so, @check(reads={most + 1})")


def _url(target: Target, provider: Provider, where: str) -> str:
    url = urljoin(provider.base_url.rstrip("/") + "/", where.lstrip("/"))
    if provider.query:
        url += ("&" if "?" in url else "?") + urlencode(target.headers(provider.query))
    return url


def _client(target: Target, provider: Provider) -> Client:
    times = target.profile.timeouts
    limits = Limits(times.connect, times.read, times.total, times.max_body)
    context = shared_context(target.profile.ca_file)
    return Client(provider.base_url, limits=limits, headers={"user-agent": AGENT}, verify=context)


def _authority(target: Target, provider: Provider, client: Client, name: str) -> dict[str, str]:
    if provider.auth == "none" or provider.credential is None:
        return {}
    secret = target.secret(provider.credential)
    if provider.auth == "basic":
        return {"authorization": "Basic " + b64encode(f"{secret}:".encode()).decode()}
    if provider.auth == "google":
        secret = _access_token(target, provider, client, name, secret)
    return {"authorization": f"Bearer {secret}"}


def _access_token(target: Target, provider: Provider, client: Client, name: str, refresh_token: str) -> str:
    """An access token from the prober's refresh token (RFC 6749 section 6)."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    for key in ("client_id", "client_secret"):
        credential = getattr(provider, key)
        if credential:
            form[key] = target.secret(credential)
    answer = client.send("POST", provider.token_url or urljoin(provider.base_url, "/token"), data=form)
    if answer.status in (400, 401, 403, 429):
        raise Refused(f"{name} answered {answer.status} to the prober's own refresh token")
    if answer.failure or answer.status != 200:
        raise Undecided(f"{name} gave no access token: {answer.failure or answer.status}")
    return str(answer.json()["access_token"])
