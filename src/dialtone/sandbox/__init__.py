"""A complete local deployment on loopback: Postgres, an application started by its command, stand-ins for providers.

Started once per controller, gone afterwards whatever happens.
"""

from __future__ import annotations

from dialtone.sandbox.controller import ATTACH_VARIABLE, Sandbox, SandboxError

__all__ = ["ATTACH_VARIABLE", "Sandbox", "SandboxError", "sweep"]


def sweep() -> list[str]:
    """Remove everything that dead runs of this user left; answers their run ids."""
    from dialtone.sandbox.leftovers import sweep as remove

    return remove()
