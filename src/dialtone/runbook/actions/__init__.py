"""`dialtone do`: what the runbook does by hand, shown first and done with `--yes`."""
