"""The course of a recovery waits for what is still to be archived, and for nothing else."""

from __future__ import annotations

import itertools
from contextlib import closing
from types import SimpleNamespace
from typing import Any

from dialtone.drill.recovery.backup import Backup
from dialtone.drill.recovery.recovery import Recovery
from dialtone.probes.database import Database
from dialtone.sandbox import Sandbox


def test_a_log_that_is_archived_is_not_waited_for(database: Sandbox, taken: Backup) -> None:
    """Somebody else has just switched: the seconds would count as the time of the recovery."""
    clock = itertools.count()
    administrator = Database(database.admin_database_url)
    target = SimpleNamespace(profile=SimpleNamespace(journal=None, tables={}))
    deployment: Any = SimpleNamespace(administrator=administrator, archive=taken.archive, target=target)
    unused: Any = None
    recovery = Recovery(deployment, unused, unused, rpo=unused, rto=unused, clock=lambda: float(next(clock)))
    with closing(administrator):
        recovery.archived()
        looked = next(clock)
        recovery.archived()
    assert next(clock) - looked == 2, "it looked at the clock more often than once"
