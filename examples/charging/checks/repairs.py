"""What is done by hand at Volthaven, as far as it is safe to script: `dialtone do`."""

from __future__ import annotations

from dialtone import action


@action(runbook="billing", needs=["repair_database", "statements.not_billed", "statements.bill"], takes="[CHARGE ...]")
def bill_charges(plan):
    """Bill the charges that were never billed, each once; or only some of them."""
    for row in plan.rows("not_billed"):
        if not plan.words or str(row["charge"]) in plan.words:
            plan.statement(f"bill charge {row['charge']}, {row['kwh']} kWh", "bill", charge=row["charge"])
