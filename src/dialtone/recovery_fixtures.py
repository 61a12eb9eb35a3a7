"""What an experiment may ask for that takes a database or an application away: a deployment of its own.

`deployment` is the application once more, `recovering` the course of a recovery of its database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dialtone.drill.recovery import Deployment, Recovery
    from dialtone.probes.synthetic import Run
    from dialtone.target import Target


@pytest.fixture(scope="session")
def _deployments(target: Target, run: Run) -> Iterator[Callable[[], Deployment]]:
    from dialtone.drill.recovery import Deployment

    kept: list[Deployment] = []

    def one() -> Deployment:
        if kept and kept[-1].broken:
            kept.pop().close()
        if not kept:
            kept.append(Deployment(target, run))
        return kept[-1]

    yield one
    for deployment in kept:
        deployment.close()


@pytest.fixture
def deployment(_deployments: Callable[[], Deployment]) -> Deployment:
    """The application once more, in a sandbox whose parts may be taken away; a new one if the last was left broken."""
    return _deployments()


@pytest.fixture
def recovering(deployment: Deployment) -> Iterator[Callable[..., Recovery]]:
    """`recovering(ask, there)`: the course of a recovery; `ask` has a customer ask, `there` lists what is there."""
    from dialtone.drill.recovery import Recovery

    rpo, rto = (deployment.target.objective(name) for name in ("recovery_point", "recovery_time"))
    made: list[Recovery] = []

    def make(ask: Callable[[], Any], there: Callable[[], Any]) -> Recovery:
        made.append(Recovery(deployment, ask, there, rpo=rpo, rto=rto))
        return made[-1]

    yield make
    for recovery in made:
        recovery.close()
