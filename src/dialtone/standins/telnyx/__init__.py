"""Stand-in for Telnyx' API, version 2.

Endpoints, required fields and answers: team-telnyx/telnyx-python (src/telnyx/resources, src/telnyx/types).
"""

from __future__ import annotations

from dialtone.standins.telnyx.api import Telnyx

__all__ = ["Telnyx"]
