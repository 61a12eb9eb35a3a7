"""`dialtone maintenance`: the lines of a week, a month and a quarter, ticked off as far as a machine can."""
