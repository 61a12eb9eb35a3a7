"""What is told about a run: verdicts as data, a summary for people, labels and evidence for Allure."""

from dialtone.report.allure import crash_to_allure, to_allure
from dialtone.report.gather import Gatherer, crashed, entry, write_json
from dialtone.report.terminal import summarise, words

__all__ = ["Gatherer", "crash_to_allure", "crashed", "entry", "summarise", "to_allure", "words", "write_json"]
