"""echocast scores: what is measured."""

import math

from echocast.cli import options, output


def command(as_json: options.Json = False) -> None:
    """List the families of scores, and each score with its perfect value and unit.

    A score without a perfect value is one that depends on the weather.
    """
    from echocast import plugins
    from echocast.verification import families

    found = [
        {"family": family, "score": name, "perfect": score.perfect, "unit": score.plain_unit, "title": score.title}
        for family, module in plugins.load_all(families.PACKAGE).items()
        for name, score in module.SCORES.items()
    ]
    if as_json:
        output.say_json(found)
        return
    rows, last = [], None
    for one in found:
        perfect = "" if math.isnan(one["perfect"]) else f"{one['perfect']:g}"
        family = "" if one["family"] == last else one["family"]
        rows.append((family, one["score"], perfect, one["unit"], one["title"]))
        last = one["family"]
    output.say_table(("family", "score", "perfect", "unit", "title"), rows, right=("perfect",))
