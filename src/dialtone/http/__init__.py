"""The prober's HTTP client: bounded in every phase, honest about which connection it uses, and never raising.

This is the only room that imports httpx and httpcore. It speaks httpx's vocabulary (its requests, responses and
transport interface, so that respx and `httpx.MockTransport` fit in) but sends through a transport of its own on one
httpcore connection an origin, past `httpx.Client` and the pool below it. Those cost a third of the CPU of a small
request (measured in one run: 0.51 ms against 0.34 ms), while a prober has no use for what they do: cookies, proxies,
authentication flows, redirects by themselves, a choice of connections that it cannot see.
"""

from dialtone.http.answer import Answer, BadBody, Failure, FailureKind, Headers, Phases, Url
from dialtone.http.client import Client
from dialtone.http.exchange import Limits
from dialtone.http.trust import shared_context

__all__ = [
    "Answer",
    "BadBody",
    "Client",
    "Failure",
    "FailureKind",
    "Headers",
    "Limits",
    "Phases",
    "Url",
    "shared_context",
]
