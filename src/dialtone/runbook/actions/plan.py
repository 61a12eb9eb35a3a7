"""What an action gets: a view of the target that only reads, and a list of steps that it fills."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dialtone import template
from dialtone.probes.database import Row
from dialtone.runbook.actions.access import Access
from dialtone.runbook.actions.steps import Delivery, Request, Statement, Step, StepFailed, encoded, told
from dialtone.target.duration import seconds
from dialtone.verdict import Unarmed


class Plan:
    """Steps that are needed now. Everything that looks only reads; everything that changes is a step.

    SQL, paths and routes are asked for by their names in the profile.
    """

    def __init__(
        self,
        access: Access,
        words: Sequence[str] = (),
        options: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.target, self.words, self.clock = access.target, tuple(words), clock
        self.steps: list[Step] = []
        self.said: list[str] = []
        self._access, self._options = access, options or {}

    # options

    def option(self, name: str) -> str:
        """An option of the command line, or its default."""
        return self._options[name]

    def seconds(self, name: str) -> float:
        """An option that is a duration, in seconds. Raises ValueError that says how one is written."""
        return seconds(self.option(name))

    # looking

    def rows(self, name: str, /, **params: Any) -> list[Row]:
        """The rows of a statement of the profile, in a transaction that may only read."""
        return self._access.database.rows(self.target.statement(name), params)

    def get(self, tool: str, path: str, /, **values: Any) -> Any:
        """What a tool answers to a GET of one of its paths, as JSON. Raises StepFailed for anything but 2xx."""
        where = self._path(tool, path, values)
        answer = self._access.tool(tool).get(where)
        if not answer.ok:
            raise StepFailed(f"{tool} {told(answer)} to GET {where.partition('?')[0]}")
        return answer.json()

    # steps

    def statement(self, what: str, name: str, /, **params: Any) -> None:
        """A statement of the profile, in a transaction of its own."""
        self.steps.append(Statement(what, self.target.statement(name), params))

    def alone(self, what: str, sql: str, *, within: float = 600.0) -> None:
        """A statement that may stand in no transaction, such as one that the server wrote out with its own names.

        `within` is in seconds.
        """
        self.steps.append(Statement(what, sql, alone=True, within=within))

    def request(
        self,
        what: str,
        tool: str,
        method: str,
        path: str,
        /,
        *,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (200, 201, 202, 204),
        **values: Any,
    ) -> None:
        """A request to a path of a tool; `values` fill the placeholders of the path."""
        where = self._path(tool, path, values)
        body, kind = encoded(json, form)
        all_headers = {**self._access.authority(tool), **kind, **(headers or {})}
        url = self.target.tool(tool).base_url.rstrip("/") + where
        self.steps.append(Request(what, tool, method, url, all_headers, body, expect))

    def call(self, what: str, method: str, route: str, *, bearer: str | None = None) -> None:
        """A request to a route of the target; `bearer` names the credential that goes with it."""
        headers = {"authorization": f"Bearer {self.target.secret(bearer)}"} if bearer else {}
        self.steps.append(Request(what, "", method, self.address(route), headers))

    def deliver(self, what: str, webhook: str, event: Mapping[str, Any]) -> None:
        """A genuine event of a provider, to the target's own endpoint, signed by us."""
        hook = self.target.webhook(webhook)
        body = json.dumps(event, indent=hook.indent, ensure_ascii=False).encode()
        url = self.target.url(hook.route)
        self.steps.append(Delivery(what, hook, url, self.target.secret(hook.key), str(event["id"]), body, self.clock))

    # for people

    def address(self, route: str, /, **values: Any) -> str:
        """The whole address of a route of the target."""
        return self.target.url(template.fill(self.target.route(route), values))

    def say(self, text: str) -> None:
        """A line for the person, such as a link that only a person can use."""
        self.said.append(text)

    def _path(self, tool: str, name: str, values: Mapping[str, Any]) -> str:
        paths = self.target.tool(tool).paths
        if name not in paths:
            raise Unarmed(f"the profile has no tools.{tool}.paths.{name}")
        filled = {**self.target.profile.values, **values}
        try:
            return template.fill(paths[name], {k: quote(str(v), safe="") for k, v in filled.items()})
        except template.TemplateError as missing:
            raise Unarmed(f"tools.{tool}.paths.{name}: {missing}") from None
