"""Acme, as a package of its own: a signing scheme, a channel, a fault, a stand-in and a probe."""
