"""The course of a recovery waits for what is still to be archived, and for nothing else; what judges it is told."""

from __future__ import annotations

import itertools
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from dialtone.drill.record import told
from dialtone.drill.recovery.backup import Backup
from dialtone.drill.recovery.measure import Measured
from dialtone.drill.recovery.recovery import Recovery
from dialtone.judging import Record
from dialtone.objective import Levels, Objective
from dialtone.probes.database import Database
from dialtone.probes.journal import eventually
from dialtone.sandbox import Sandbox
from dialtone.sandbox.postgres import SWITCH
from dialtone.verdict import Bad


def test_a_log_that_is_archived_is_not_waited_for(database: Sandbox, taken: Backup) -> None:
    """Somebody else has just switched: the seconds would count as the time of the recovery."""
    ticks = itertools.count()
    administrator = Database(database.admin_database_url)
    target = SimpleNamespace(profile=SimpleNamespace(journal=None, tables={}))
    deployment: Any = SimpleNamespace(administrator=administrator, archive=taken.archive, target=target)
    unused: Any = None
    recovery = Recovery(deployment, unused, unused, rpo=unused, rto=unused, clock=lambda: float(next(ticks)))
    with closing(administrator):
        for _ in range(20):  # the server writes of its own accord now and then: then that is waited for
            last = str(administrator.write(SWITCH)[0]["name"])
            assert eventually((taken.archive / last).exists, bool, within=30)
            looked = next(ticks)
            recovery.archived()
            looks = next(ticks) - looked - 1
            if administrator.write(SWITCH)[0]["name"] == last:
                break
        else:
            pytest.fail("something is written all the time")
    assert looks == 1, "it looked at the clock more often than once"


@pytest.mark.parametrize(("rpo", "rto"), [(0.5, 60.0), (5.0, 10.0)])
def test_what_is_told_as_the_objective_is_what_judges(record: Record, rpo: float, rto: float) -> None:
    """Those of the profile, by which one of them is missed here, and not the 30 s and 0 s of the declaration."""
    deployment: Any = SimpleNamespace(target=SimpleNamespace(profile=SimpleNamespace(journal=None, tables={})))
    unused: Any = None
    aims = {name: Objective(name, Levels(alert=most), "s") for name, most in (("rpo", rpo), ("rto", rto))}
    recovery = Recovery(deployment, unused, unused, **aims, clock=lambda: 0.0)
    found = Measured(9, 0, 0, 0, rpo=1.0, seconds_to_detect=0.5, seconds_to_recover=12.0)
    recovery._keep(found)
    assert told(record.meta, record)["objectives"] == {"alert_within": 30, "recover_within": rto, "rpo": rpo}
    with pytest.raises(Bad):
        recovery._judge(found)
