"""What rules need beside what is always published."""

from pathlib import Path

import pytest
from tests.operations.alerts import made

from echocast.operations.alerts.needs import lacking, needs_of
from echocast.products.ensemble import USUAL, Thresholds

HEAD = 'id = "r"\nareas = "*"\nseverity = "Minor"\n'


@pytest.mark.parametrize(
    ("rule", "needed", "minutes", "members"),
    [
        ('quantity = "rate"\nthreshold = 5', Thresholds((), (), ()), 0, False),
        # A rate of 7 mm/h is not among the usual ones; its probability is for the message.
        ('quantity = "rate"\nthreshold = 7\nleads = [0, 45]', Thresholds((7.0,), (), ()), 45, False),
        ('quantity = "rate"\nthreshold = 7\nof = "p90"\nstatistic = "mean"', Thresholds((), (), ()), 0, True),
        ('quantity = "amount"\nspan = 45\nthreshold = 20', Thresholds((), (), (45.0,)), 45, False),
        (
            'quantity = "probability_amount"\nspan = 120\nthreshold = 30\nat_least = 0.5',
            Thresholds((), (30.0,), (120.0,)),
            120,
            True,
        ),
    ],
)
def test_needs(tmp_path: Path, rule: str, needed: Thresholds, minutes: float, members: bool) -> None:
    alerts = made.alerts(tmp_path, HEAD + rule)
    found = needs_of(alerts)
    assert Thresholds(found.rates, found.amounts, found.spans) == needed
    assert (found.minutes, found.members) == (minutes, members)
    lacks = " ".join(lacking(alerts, 30, None, USUAL))
    assert ("--members 20" in lacks) is members
    assert ("--minutes" in lacks) is (minutes > 30)
    assert ("--spans" in lacks) is bool(needed.spans)
    assert ("--amounts 30" in lacks) is bool(needed.amounts)
    published = USUAL.also(needed.rates, needed.amounts, needed.spans)
    assert lacking(alerts, 120, 20, published) == []
