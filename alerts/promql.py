"""Expressions of the generated rules: selectors, guards, one tier. Pure."""

import json
import re
from collections.abc import Iterable
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

from slo import names
from slo.model import SLO
from slo.names import SERIES_LABELS, TIER, WINDOW, duration
from slo.policy import Tier
from slo.verdict import Verdict

Scope = tuple[str, ...]
"""The matchers that every selector of a rule bears."""

UNKNOWN = names.STATE_VALUES[Verdict.UNKNOWN.value]
SERIES = ", ".join(SERIES_LABELS)


def decimal(value: Fraction) -> str:
    """A number as exact decimals, or the nearest float where they have no end."""
    with localcontext(prec=40) as context:
        context.clear_flags()  # it begins with those of whoever calculated before
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        if context.flags[Inexact]:
            return repr(float(value))
    return f"{exact.normalize():f}"


def equal(label: str, value: str) -> str:
    """A matcher for one value."""
    return f"{label}={json.dumps(value, ensure_ascii=False)}"


def one_of(label: str, values: Iterable[str]) -> str:
    """A matcher for one of some values."""
    found = sorted(values)
    if len(found) == 1:
        return equal(label, found[0])
    pattern = "|".join(re.escape(value) for value in found)
    return f"{label}=~{json.dumps(pattern, ensure_ascii=False)}"


def selector(metric: str, scope: Scope, **labels: str) -> str:
    """A metric with its matchers."""
    own = (equal(label, value) for label, value in labels.items())
    return f"{metric}{{{', '.join((*scope, *own))}}}"


def burning(tier: Tier, slo: SLO, scope: Scope) -> str:
    """Whether a tier fires: its windows burn, no guard holds it back, it is known.

    The terms and their order are those of `slo.evaluation`. Both windows are
    compared strictly with the policy's factor; the other side of each guard is what
    the engine exports for the series.
    """
    long, short = duration(tier.long_ms), duration(tier.short_ms)
    factor = decimal(tier.factor(slo.period_ms))
    burn_short = selector(names.BURN_RATE, scope, window=short)
    terms = [
        f"{selector(names.BURN_RATE, scope, window=long)} > {factor}",
        f"and ignoring ({WINDOW}) {burn_short} > {factor}",
        _guard(scope, names.WINDOW_BAD_EVENTS, names.MIN_BAD_EVENTS, window=long),
        _guard(scope, names.WINDOW_TOTAL_EVENTS, names.MIN_TOTAL_EVENTS, window=long),
    ]
    if tier.severity is Verdict.PAGE:
        hot, floor = names.HOT_SECONDS, names.HOT_FLOOR_SECONDS
        terms.append(_guard(scope, hot, floor, tier=tier.name))
    for which in (tier.name, ""):
        state = selector(names.ALERT_STATE, scope, tier=which)
        terms.append(f"unless ignoring ({WINDOW}, {TIER}) {state} == {UNKNOWN}")
    return "\n".join(terms)


def any_of(terms: Iterable[str]) -> str:
    """One value for each series where any of the terms holds: the greatest."""
    inner = "\nor\n".join(terms)
    lines = "\n".join(f"  {line}" for line in inner.splitlines())
    return f"max by ({SERIES}) (\n{lines}\n)"


def _guard(scope: Scope, metric: str, least: str, **which: str) -> str:
    (label,) = which
    held = f"{selector(metric, scope, **which)} >= ignoring ({label})"
    return f"and ignoring ({WINDOW}, {TIER}) ({held} {selector(least, scope)})"
