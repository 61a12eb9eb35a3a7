"""Stand-ins: local servers that speak the providers' protocols, keep state and refuse what the real ones refuse.

All of them live in one process and one event loop, each on a port of its own: `python -m dialtone.standins --config
FILE`. Beside them stands the journal: a list of everything the stand-ins took in, and short-lived faults.
"""
