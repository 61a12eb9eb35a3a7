"""Nothing has to be configured here: the pytest plugin `dialtone` brings options and fixtures by its entry point.

The file marks the top of the suite, so that checks/, chaos/ and tests/ share one root whatever folder pytest is
started from.
"""
