"""Disaster recovery: a backup that is taken while customers book, a loss, what comes back of it, and how fast."""

from __future__ import annotations

from dialtone.drill.recovery.backup import Backup, BackupRefused, Taking
from dialtone.drill.recovery.change import Change
from dialtone.drill.recovery.deployment import Deployment
from dialtone.drill.recovery.measure import Measured, measured
from dialtone.drill.recovery.recovery import Recovery
from dialtone.drill.recovery.rotation import Rotation

__all__ = ["Backup", "BackupRefused", "Change", "Deployment", "Measured", "Recovery", "Rotation", "Taking", "measured"]
