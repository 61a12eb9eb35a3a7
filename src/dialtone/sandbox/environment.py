"""Which process of the sandbox is told what. Nobody gets the caller's whole environment, nobody more than it needs."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialtone.sandbox.certificates import Certificates
from dialtone.sandbox.credentials import Credentials, new_credentials
from dialtone.sandbox.interception import HOSTS, PATIENCE, further, places
from dialtone.sandbox.ports import free_ports
from dialtone.sandbox.postgres import ADMIN, DEFECTS_FILE, OWNER, PROBER, REPAIRER, Cluster
from dialtone.standins.postgrest.roles import AUTHENTICATOR

APPLICATION_PORTS = ("edge", "tls", "plain")
STANDINS = (
    *("stripe", "retell", "telnyx", "google_oauth", "google", "upstash"),
    *("slack", "sentry", "vercel", "smtp", "status_pages", "journal"),
    *("supabase", "rdap", "postgrest"),
)
PORT_NAMES = ("postgres", *APPLICATION_PORTS, *STANDINS)
_INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
_INHERITED_FAMILIES = ("PYTHON", "LC_")


def inherited() -> dict[str, str]:
    """The part of this process' environment that every child needs: where programs, home and language are.

    A package that runs from a source tree has to be found by the children too, so its folder joins PYTHONPATH.
    """
    chosen = {k: v for k, v in os.environ.items() if k in _INHERITED or k.startswith(_INHERITED_FAMILIES)}
    source = Path(__file__).parents[2]
    if source.name not in ("site-packages", "dist-packages"):
        paths = [str(source), *filter(None, chosen.get("PYTHONPATH", "").split(os.pathsep))]
        chosen["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    return chosen


def default_application() -> list[str]:
    """The command of the application that comes with the suite."""
    return [sys.executable, "-P", "-m", "dialtone_receptionist"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was decided before the parts start: ports, secrets, files."""

    ports: Mapping[str, int]
    credentials: Credentials
    certificates: Certificates
    cluster: Cluster
    defects_file: Path
    client_header: str
    webhooks: Mapping[str, str]
    between: Mapping[str, str] = field(default_factory=dict)
    """Where the interceptor stands for a part or a further host, as `address:port`; empty without one."""
    further: Mapping[str, str] = field(default_factory=dict)
    """Further hosts of the application -> upstream."""
    brought: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stand-in that another package brings -> its secrets, as `dialtone.standins` names them."""

    @classmethod
    def make(
        cls,
        folder: Path,
        webhooks: Mapping[str, str],
        *,
        recoverable: bool = False,
        intercepted: bool = False,
        way: str | None = None,
        hosts: Mapping[str, str] | None = None,
        brought: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Plan:
        """A plan for a start in `folder`, with ports that are free now.

        `webhooks` are the paths of the application to which the stand-ins deliver; a `recoverable` database archives
        its WAL and has page checksums; `intercepted` puts the interceptor between the application and all that it
        calls, `hosts` among it, led by a `way`; `brought` are stand-ins of other packages, with their secrets.
        """
        names = [*PORT_NAMES, *(brought or {})]
        between = [*HOSTS, *(host.lower() for host in hosts or {})] if intercepted else []
        chosen = free_ports([*names, *(f"before {part}" for part in between)])
        ports = {name: chosen[name] for name in names}
        return cls(
            ports=ports,
            credentials=new_credentials(name for needed in (brought or {}).values() for name in needed),
            certificates=Certificates(folder),
            cluster=Cluster(folder / "postgres", ports["postgres"], recoverable),
            defects_file=folder / DEFECTS_FILE,
            client_header=f"x-dialtone-client-{secrets.token_hex(4)}",
            webhooks=webhooks,
            between=places(way, {part: chosen[f"before {part}"] for part in between}),
            further=further(hosts or {}, ports, list(brought or {})),
            brought=dict(brought or {}),
        )

    def url(self, name: str) -> str:
        """Address of a listener that speaks plain HTTP."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def outward(self, name: str) -> str:
        """Address and port under which the application reaches a part."""
        return self.between.get(name) or f"127.0.0.1:{self.ports[name]}"

    def secret_values(self) -> list[str]:
        """Every value that must not appear in anything that is written."""
        return [*self.credentials.values(), self.client_header]

    @property
    def admin_url(self) -> str:
        """The superuser's URL of the application's database."""
        return self.cluster.url(ADMIN, self.credentials.admin_password)

    def for_checks(self) -> dict[str, str]:
        """`SANDBOX_*`: what the profile of the target `sandbox` refers to."""
        addresses = {f"{_upper(name)}_URL": self.url(name) for name in (*STANDINS, *self.brought) if name != "smtp"}
        values = {
            **addresses,
            **self.credentials.shared,
            "BASE_URL": self.url("edge"),
            "TLS_URL": f"https://localhost:{self.ports['tls']}",
            "PLAIN_URL": self.url("plain"),
            "CA_FILE": str(self.certificates.authority),
            "CLIENT_HEADER": self.client_header,
            "DATABASE_URL": self.cluster.url(PROBER, self.credentials.prober_password),
            "REPAIR_DATABASE_URL": self.cluster.url(REPAIRER, self.credentials.repairer_password),
        }
        return {f"SANDBOX_{name}": value for name, value in values.items()}

    def for_application(self) -> dict[str, str]:
        """What the application is told, on top of what every child inherits. It gets no key of the prober's."""
        shared = self.credentials.shared
        same = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "RETELL_API_KEY", "TELNYX_API_KEY", "GOOGLE_CLIENT_ID")
        files = self.certificates
        return {
            **{name: shared[name] for name in (*same, "GOOGLE_CLIENT_SECRET", "CRON_SECRET")},
            "DATABASE_URL": self.cluster.url(
                OWNER, self.credentials.owner_password, int(self.outward("postgres").rpartition(":")[2])
            ),
            "JWT_SECRET": self.credentials.jwt_secret,
            "TELNYX_PUBLIC_KEY": self.credentials.telnyx_public_key(),
            "REDIS_REST_URL": f"http://{self.outward('upstash')}",
            "REDIS_REST_TOKEN": shared["UPSTASH_TOKEN"],
            "SLACK_WEBHOOK_URL": f"http://{self.outward('slack')}{self.credentials.slack_path}",
            "SENTRY_DSN": f"http://{self.credentials.sentry_key}@{self.outward('sentry')}/1",
            "SMTP_URL": f"smtp://{self.outward('smtp')}",
            "ALERT_EMAIL": "on-call@example.com",
            "NEXT_PUBLIC_APP_URL": self.url("edge"),
            **{f"{prefix}SUPABASE_URL": f"http://{self.outward('postgrest')}" for prefix in ("", "NEXT_PUBLIC_")},
            **{f"{prefix}SUPABASE_ANON_KEY": shared["SUPABASE_ANON_KEY"] for prefix in ("", "NEXT_PUBLIC_")},
            "SUPABASE_SERVICE_ROLE_KEY": shared["SUPABASE_SERVICE_KEY"],
            "STRIPE_API_BASE": f"http://{self.outward('stripe')}",
            "RETELL_API_BASE": f"http://{self.outward('retell')}",
            "TELNYX_API_BASE": f"http://{self.outward('telnyx')}",
            "GOOGLE_OAUTH_BASE": f"http://{self.outward('google_oauth')}",
            "GOOGLE_API_BASE": f"http://{self.outward('google')}",
            "PORT": str(self.ports["edge"]),
            "TLS_PORT": str(self.ports["tls"]),
            "PLAIN_PORT": str(self.ports["plain"]),
            "TLS_CERT_FILE": str(files.good.certificate),
            "TLS_KEY_FILE": str(files.good.key),
            "TLS_EXPIRING_CERT_FILE": str(files.expiring.certificate),
            "TLS_EXPIRING_KEY_FILE": str(files.expiring.key),
            "TLS_WRONG_HOST_CERT_FILE": str(files.wrong_host.certificate),
            "TLS_WRONG_HOST_KEY_FILE": str(files.wrong_host.key),
            "EDGE_CLIENT_HEADER": self.client_header,
            "DEFECTS_FILE": str(self.defects_file),
            **(PATIENCE if self.between else {}),
            **{f"{_upper(name)}_API_BASE": self.url(name) for name in self.brought},
            **{need.upper(): shared[need.upper()] for needed in self.brought.values() for need in needed},
        }

    def for_standins(self) -> dict[str, Any]:
        """The configuration file of the stand-ins."""
        return {
            "ports": {name: self.ports[name] for name in (*STANDINS, *self.brought)},
            "secrets": {
                **{name.lower(): value for name, value in self.credentials.shared.items()},
                "supabase_database_url": self.cluster.url(AUTHENTICATOR, self.credentials.authenticator_password),
                "slack_path": self.credentials.slack_path,
                "sentry_key": self.credentials.sentry_key,
            },
            "defects_file": str(self.defects_file),
            "app_url": self.url("edge"),
            "webhooks": dict(self.webhooks),
        }


def _upper(name: str) -> str:
    """In the name of a variable: an entry point may have a dash or a dot."""
    return re.sub(r"\W", "_", name).upper()
