"""What is told about a run: verdicts as data, a summary for people, labels and evidence for Allure."""

from dialtone.report.allure import crash_to_allure, curtain, pages_to_allure, to_allure
from dialtone.report.gather import EXIT_NOTHING_JUDGED, EXIT_REQUIRED, Gatherer, crashed, declared, entry, write_json
from dialtone.report.terminal import summarise, words

__all__ = [
    "EXIT_NOTHING_JUDGED",
    "EXIT_REQUIRED",
    "Gatherer",
    "crash_to_allure",
    "crashed",
    "curtain",
    "declared",
    "entry",
    "pages_to_allure",
    "summarise",
    "to_allure",
    "words",
    "write_json",
]
