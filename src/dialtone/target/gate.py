"""What a profile says of gates and of what a month may cost."""

from __future__ import annotations

from pydantic import Field

from dialtone.target.parts import Part, Text


class Revision(Part):
    """`[gate.revision]`: where the target says which commit it serves: a field of a JSON answer, or a header."""

    path: Text
    field: Text = Field(default="version", description="dots lead into objects")
    header: Text | None = Field(default=None, description="counts where it is named")


class Gate(Part):
    """`[gate]`: checks without which `--gate` says nothing, and how a deployment shows which commit it serves."""

    required: list[Text] = Field(default=[], description="ids of checks that have to be armed; without a case, all")
    revision: Revision | None = None
    environments: list[Text] = Field(
        default=["Preview*"], min_length=1, description="patterns of names that a deployment's environment may have"
    )
    hosts: list[Text] = Field(default=[], description="patterns of host names at which a deployment may be; none: any")


class Allowance(Part):
    """`[allowance]`: what a month may cost; `dialtone forecast` refuses what is above it. None is no bound."""

    minutes: int | None = Field(default=None, ge=0, description="billed minutes of GitHub Actions")
    money: float | None = Field(default=None, ge=0, description="dollars, beyond what is free")
    log_lines: int | None = Field(default=None, ge=0, description="lines in the target's logs")
    sentry_events: int | None = Field(default=None, ge=0, description="events at Sentry")
    gates: int = Field(default=60, ge=0, description="previews in a month, an assumption of the forecast")
    included_minutes: int = Field(default=2000, ge=0, description="free minutes of the plan: GitHub Free has 2,000")
    private: bool = Field(default=True, description="whether the repository is private: a public one has free minutes")
