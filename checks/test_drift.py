"""Drift: what is set for one environment and forgotten for the other, so that a good preview says nothing."""

from __future__ import annotations

from dialtone import check, fail, note, ok, pick, undecided

_PAIR = ("production", "preview")


@check(
    severity="P2",
    runbook="configuration",
    proof="observed",
    catches=["preview-drift"],
    needs=["providers.vercel", "values.variables", "required_variables"],
    requests=0,
)
def test_preview_is_set_up_like_production(target, record):
    """Every variable that production needs is set for previews as well, and the other way round."""
    tree = record("vercel", target.value("variables"))
    told = pick(tree, target.field("variable_list", "envs")) or []
    name, targets = target.field("variable_name", "key"), target.field("variable_targets", "target")
    of = {where: {str(v[name]) for v in told if where in (v.get(targets) or [])} for where in _PAIR}
    if not all(of.values()):
        undecided("the platform lists no variables for " + " and ".join(w for w in _PAIR if not of[w]))
    apart = set(str(target.profile.values.get("variables_apart", "")).split())
    # Only names of our own profile are told: a name, too, may be somebody's business.
    known = [v for v in target.profile.required_variables if v not in apart]
    forgotten = {where: [v for v in known if v in of[other] and v not in of[where]] for where, other in _both()}
    others = len((of["production"] ^ of["preview"]) - apart - set(known))
    note("other variables that one of them lacks", others)
    wrong = [f"{where} lacks {', '.join(names)}" for where, names in forgotten.items() if names]
    if wrong:
        fail("; ".join(wrong), value=sum(map(len, forgotten.values())), unit="count")
    ok(f"{len(of['production'] & of['preview'])} variables are set for both", value=0, unit="count")


def _both():
    return (_PAIR, _PAIR[::-1])
