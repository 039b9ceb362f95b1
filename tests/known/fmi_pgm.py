"""FMI's PGM: plain or gzip, comments in any order, on the polar stereographic grid that its corners span."""

import gzip
from pathlib import Path

import numpy as np
from tests.known import Cell, Known, _draw

NO_DATA, NO_ECHO = 255, 0
REFUSED = {"productname": "its productname is", "param": "its param is", "cell": "its metersperpixel_x says"}


def write(folder: Path, drawn: np.random.Generator) -> Known:
    refused = str(drawn.choice(list(REFUSED))) if drawn.random() < 0.1 else ""
    spots, time = _draw.spots(drawn), _draw.time(drawn)
    rows, columns = spots.shape
    lon_0, truelat = float(drawn.choice([20, 25, 27])), float(drawn.choice([60, 70]))
    proj4 = f"+proj=stere +lat_0=90 +lat_ts={truelat} +lon_0={lon_0} +datum=WGS84"
    cell, left, bottom = float(drawn.choice([500, 1000, 2000])), *(1000.0 * drawn.integers(-400, 400, 2) - (0, 3.4e6))
    more = bool(drawn.integers(2))
    level = np.full(spots.shape, drawn.choice([NO_ECHO, 64]), np.uint8)
    level[spots.bright] = bright = int(drawn.integers(100, 180))
    level[spots.missing] = NO_DATA

    def place(spot: tuple[int, int]) -> tuple[float, float]:
        return _draw.degrees(proj4, left + (spot[1] + 0.5) * cell, bottom + (rows - spot[0] - 0.5) * cell)

    corners = [_draw.degrees(proj4, left, bottom), _draw.degrees(proj4, left + columns * cell, bottom + rows * cell)]
    comments = [
        f"obstime {str(time)[:16].translate(str.maketrans('', '', '-T:'))}",
        f"productname {'ETOP_20' if refused == 'productname' else 'LOWEST'}",
        *(
            [f"param {'HydrometeorClass' if refused == 'param' else 'CorrectedReflectivity'}"]
            if refused or more
            else []
        ),
        *([f"metersperpixel_x {cell * (2 if refused == 'cell' else 1.001)}"] if refused or more else []),
        f"projection radar {{\n# type stereographic\n# centrallongitude {lon_0:g}\n# centrallatitude 90\n"
        f"# truelatitude {truelat:g}\n# bottomleft {corners[0][0]:.8f} {corners[0][1]:.8f}\n"
        f"# topright {corners[1][0]:.8f} {corners[1][1]:.8f}\n# }}",
    ]
    drawn.shuffle(comments)
    content = "".join(["P5\n", *(f"# {c}\n" for c in comments), f"{columns} {rows}\n255\n"]).encode() + level.tobytes()
    packed = bool(drawn.integers(2))
    path = folder / f"radar{drawn.integers(100)}.pgm{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    z = 10 ** ((bright - 64) / 2 / 10)
    cells = [
        Cell(*place(spots.bright), (z / 223) ** (1 / 1.53)),
        Cell(*place(spots.dry), 0.0),
        Cell(*place(spots.missing), np.nan),
    ]
    return Known(path, [time], cells, spots.shape, refused=REFUSED.get(refused))
