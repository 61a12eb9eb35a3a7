"""The runbook, executable: what covers each of its lines, and what is looked at when a check is red.

Policy stays above: the lines stand in the target's runbook page, the items are decorated functions beside the checks.
"""
