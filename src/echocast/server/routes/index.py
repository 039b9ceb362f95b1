"""What there is: the newest forecast, the observed frames before it, layers, and where their pictures are."""

import json
from typing import Any

from fastapi import FastAPI, Request, Response

from echocast._version import __version__
from echocast.operations.grid import Grid
from echocast.operations.stamps import iso
from echocast.server import answers, documents
from echocast.server.answers import Body
from echocast.server.routes.overview import WIDTHS, bounds_of, corners_of, picture_of
from echocast.server.service import Service
from echocast.server.snapshot import Issue, ObservedFrame, Snapshot
from echocast.server.tiles.palettes import LEGENDS, PALETTES, scale_of
from echocast.server.tiles.renderer import OBSERVED

PAST_S = 7200.0
"""Observed frames so long before the newest are told."""


def add(app: FastAPI, service: Service) -> None:
    """Add the addresses."""
    index = Index(service)

    @app.get(
        "/v1/index.json",
        tags=["forecast"],
        summary="What there is: the newest forecast, frames, layers, and templates of addresses",
        responses=documents.of("application/json"),
        response_class=Response,
    )
    async def what_there_is(request: Request) -> Response:
        """`now` and `age_s` are those of the moment in which the answer was made."""
        return answers.answer(request, index.body(), keep=answers.BRIEFLY, expires=service.expected_next)


class Index:
    """The content of /v1/index.json; what does not depend on the clock is made once for a snapshot."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._of: tuple[Snapshot, dict[str, Any]] | None = None

    def body(self) -> Body:
        """The content now; two of one snapshot and one state mean the same."""
        service, snapshot = self._service, self._service.snapshot
        if self._of is None or self._of[0] is not snapshot:
            self._of = snapshot, content(snapshot, service.settings.root_path)
        age, following = service.age_s, service.expected_next
        now = {
            "version": "1.0",
            "name": service.settings.name,
            "attribution": service.attribution,
            "state": service.state,
            "now": iso(service.clock()),
            "age_s": None if age is None else round(age),
            "stale_after_s": service.settings.stale,
            "next_expected": None if following is None else iso(following),
            "palettes": list(PALETTES),
            "palette": service.settings.palette,
            "zoom": {"least": 0, "most": service.settings.limits.zoom},
        }
        made = json.dumps(now | self._of[1], ensure_ascii=False).encode()
        return Body(made, "application/json", tag=f"{snapshot.digest[:20]}-{service.state}-{__version__}", weak=True)


def content(snapshot: Snapshot, root: str = "") -> dict[str, Any]:
    """What does not depend on the clock."""
    newest, past = snapshot.newest, _past(snapshot)
    layers = [] if newest is None else _layers(newest)
    forecast = [_forecast(newest, lead) for lead in newest.leads] if newest is not None and layers else []
    return {
        "issued": None if newest is None else newest.time,
        "issue": None if newest is None else _issue(newest),
        "step_s": snapshot.step_s,
        "templates": {
            "tiles": f"{root}/v1/tiles/{{id}}/{{layer}}/{{lead}}/{{z}}/{{x}}/{{y}}.png",
            "tilejson": f"{root}/v1/tiles/{{id}}/{{layer}}/{{lead}}/tilejson.json",
            "overview": f"{root}/v1/overview/{{id}}/{{layer}}/{{lead}}.png",
            "legend": f"{root}/v1/legend/{{layer}}.json",
            "point": f"{root}/v1/point?lat={{lat}}&lon={{lon}}",
            "file": f"{root}/v1/files/{{id}}.nc",
        },
        "layers": layers,
        "observed_layers": [{"name": name, "title": title} for name, title in OBSERVED.items()],
        "grid": None if newest is None or newest.grid is None else _place(newest.grid),
        "observed_grid": _place(past[-1].grid) if past and past[-1].grid else None,
        "frames": [*({"kind": "observed", "id": one.id, "time": one.time, "lead": 0} for one in past), *forecast],
        "issues": [_issue(one) for one in snapshot.issues.values()],
    }


def _past(snapshot: Snapshot) -> list[ObservedFrame]:
    """The observed frames that are told: those of rain of the last two hours."""
    newest = snapshot.newest_frame
    if newest is None or newest.quantity != "rainfall_rate":
        return []
    return [one for one in snapshot.frames.values() if one.seconds >= newest.seconds - PAST_S]


def _forecast(issue: Issue, lead: float) -> dict[str, Any]:
    return {"kind": "forecast", "id": issue.id, "time": iso(issue.seconds + 60 * lead), "lead": lead}


def _issue(issue: Issue) -> dict[str, Any]:
    return {
        "id": issue.id,
        "time": issue.time,
        "revision": issue.revision,
        "published": issue.published,
        "expires": issue.expires,
        "degraded": issue.degraded,
    }


def _layers(issue: Issue) -> list[dict[str, Any]]:
    file = issue.layer_file
    if file is None or issue.grid is None:
        return []
    return [
        {
            "name": name,
            "title": about["title"],
            "units": LEGENDS[scale].units,
            "scale": scale,
            "leads": about["leads"],
        }
        for name, about in file.layers.items()
        if (scale := scale_of(name)) is not None
    ]


def _place(grid: Grid) -> dict[str, Any]:
    """Where a grid lies, and its whole pictures."""
    overview = {
        str(width): {"size": [picture.width, picture.height], "bounds": corners_of(picture)}
        for width in WIDTHS
        for picture in [picture_of(grid, width)]
    }
    return {"bounds": [round(one, 5) for one in bounds_of(grid)], "shape": list(grid.shape), "overview": overview}
