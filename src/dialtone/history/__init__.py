"""Results, verdicts and runs over time: a file of SQLite, or PostgreSQL for more than one machine."""

from dialtone.history.engines import StoreError
from dialtone.history.location import where
from dialtone.history.recorder import Recorder
from dialtone.history.rollup import Retention, tidy
from dialtone.history.store import HOLDS, Result, Run, Store

__all__ = ["HOLDS", "Recorder", "Result", "Retention", "Run", "Store", "StoreError", "tidy", "where"]
