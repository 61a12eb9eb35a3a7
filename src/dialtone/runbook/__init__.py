"""The runbook, executable: what covers each of its lines, and what is looked at when a check is red.

Policy stays above: the lines stand in the target's runbook page; causes and looks are declared beside the checks, in
files named `causes*.py` and `diagnosis*.py`. They import what they need from here.
"""

from dialtone.runbook.causes import Cause, When
from dialtone.runbook.looks import look

__all__ = ["Cause", "When", "look"]
