"""The pytest plugin: hooks and nothing else.

It is inert where there is no `dialtone.toml`: no option, no fixture, no import of ours beyond this module. Where there
is one, the hooks below act on tests marked by `@check` or `@experiment` only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator

    from dialtone.session import Session


def find_config(start: Path | None = None) -> Path | None:
    """`DIALTONE_CONFIG`, or the nearest `dialtone.toml` in this folder and those above it; None when there is none."""
    named = os.environ.get("DIALTONE_CONFIG")
    if named:
        return Path(named)
    here = (start or Path.cwd()).resolve()
    return next((p for folder in (here, *here.parents) if (p := folder / "dialtone.toml").is_file()), None)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Options, fixtures and hooks, only where a profile file is found."""
    path = find_config()
    if path is None:
        return
    group = parser.getgroup("dialtone", "dialtone: synthetic checks and chaos experiments")
    group.addoption(
        "--target",
        default=os.environ.get("DIALTONE_TARGET", "sandbox"),
        metavar="NAME",
        help=f"which target of {path.name} to check (default: sandbox, a complete local deployment)",
    )
    group.addoption("--dialtone-config", default=str(path), metavar="FILE", help="the profile file")
    group.addoption(
        "--verdicts",
        default=os.environ.get("DIALTONE_VERDICTS", "build/verdicts.json"),
        metavar="FILE",
        help="where to write the verdicts as JSON (default: build/verdicts.json)",
    )
    group.addoption(
        "--no-diagnosis",
        action="store_true",
        default=bool(os.environ.get("DIALTONE_NO_DIAGNOSIS")),
        help="do not look for the cause when a check is red",
    )
    group.addoption(
        "--baseline",
        metavar="NAME",
        help="compare with another target, as a preview with production: samples of both in turn, reads only",
    )
    group.addoption("--gate", action="store_true", help="only the checks that are declared with gate=True")
    group.addoption(
        "--fail-on",
        choices=["degraded", "breach", "critical"],
        default="breach",
        help="the mildest verdict that makes the exit code 1 (default: breach)",
    )
    group.addoption(
        "--shard",
        metavar="N/OF",
        help="only this part of the checks, by their ids, as in 2/5 (default: DIALTONE_SHARD)",
    )
    again = "run the checks again and again, as in 60s, until Ctrl-C or --for"
    group.addoption("--every", metavar="DURATION", help=again)
    group.addoption("--for", dest="rounds_for", metavar="DURATION", help="with --every: for how long, as in 25m")
    hooks = Hooks()
    pluginmanager.register(hooks, "dialtone-hooks")
    pluginmanager.register(Items(hooks), "dialtone-items")
    pluginmanager.register(Arming(hooks), "dialtone-arming")
    pluginmanager.import_plugin("dialtone.fixtures")
    pluginmanager.import_plugin("dialtone.fixtures.recovery")
    pluginmanager.import_plugin("dialtone.fixtures.experiments")


class Hooks:
    """pytest's hooks; each asks the session of this process, which exists from `pytest_configure` on."""

    session: Session

    @pytest.hookimpl
    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the marker known and open the session of this process."""
        from dialtone.session import SESSION, Session

        config.addinivalue_line("markers", "dialtone(meta): a check or an experiment (set by @check and @experiment)")
        config.addinivalue_line("markers", "dialtone_each(table, argument, …): a case for each entry (set by @each)")
        self.session = config.stash[SESSION] = Session(config)

    @pytest.hookimpl
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A case for each entry of a table of the profile."""
        for mark in metafunc.definition.iter_markers("dialtone_each"):
            table, argument, known, key, but = mark.args
            names = dict.fromkeys([*known, *self.session.environment.names(table, key)])
            cases = [name for name in names if name not in but]
            metafunc.parametrize(argument, cases or [pytest.param("*", id="any")])  # which is unarmed

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int | None:
        """With `--every` this process runs no test: it supervises sessions that do."""
        if not config.getoption("every", None):
            return None
        from dialtone.watch import supervise

        config._do_configure()
        try:
            return supervise(config, self.session.environment)
        finally:
            config._ensure_unconfigure()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Set the sandbox going before xdist starts its workers, if the files of this run hold checks."""
        self.session.environment.foresee()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """With `--gate`, the checks of the gate only."""
        if config.getoption("gate", False):
            self.session.gated(items)
        if any((config.getoption("shard", None), os.environ.get("DIALTONE_SHARD"), os.environ.get("DIALTONE_SHARDS"))):
            from dialtone import shards

            shards.keep(config, items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know the checks of this run, and step aside where there is none."""
        self.session.collected(session.items)
        if not self.session.checks:
            for name in ("dialtone-items", "dialtone-arming"):
                session.config.pluginmanager.unregister(name=name)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Start what the checks need just before the first one, and end it after the last."""
        self.session.begin()
        interrupted = False
        try:
            return (yield)
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            self.session.end(interrupted=interrupted)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: object) -> None:
        """In the controller of xdist: a worker knows its tests; wait for the sandbox, judge the profile."""
        self.session.worker_collected()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: object) -> None:
        """A worker crashed: its check is broken, and Allure would know nothing of it."""
        self.session.crashed(crashitem, report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be collected is a failure that no check accounts for."""
        self.session.gathered(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the verdicts and set the exit code; nothing in a session without checks."""
        self.session.finish(session)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """The summary that a person can act on."""
        self.session.summarise(terminalreporter)


class Items:
    """What happens around every single test: unregistered as soon as it is known that none of them is a check."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Turn what is raised before the check itself into its verdict: not armed, a fixture that failed."""
        return (yield from self._hooks.session.phase(item, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Turn what a check raises into its verdict, and keep foreign exceptions from quoting data."""
        return (yield from self._hooks.session.phase(item, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """A teardown that fails is a broken check."""
        return (yield from self._hooks.session.phase(item, "teardown"))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the verdict into the report (as a user property: it survives xdist) and words instead of a traceback."""
        report = yield
        self._hooks.session.report(item, report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather verdicts in the controller."""
        self._hooks.session.gathered(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        """A warning of a check may quote what the target answered."""
        if hasattr(self._hooks, "session"):  # pytest itself may warn before it is configured
            self._hooks.session.warned(warning_message, nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Show degraded, unarmed, undecided … by their own words."""
        from dialtone.report.terminal import status

        return status(report)


class Arming:
    """Inside of every other plugin's wrapper, whose teardown relies on its setup, and before any fixture."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what is not armed."""
        self._hooks.session.arm(item)
