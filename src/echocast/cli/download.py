"""echocast download: files of open archives."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from echocast.cli.progress import Bar
from echocast.errors import DataError


def command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="dwd, fmi or mrms.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="First time (UTC), as 2024-06-01T12:00.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Last time (UTC).")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where to; SOURCE by default.")] = None,
    mirror: Annotated[str | None, typer.Option("--mirror", metavar="URL", help="Another address, same layout.")] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=16, help="Files at the same time.")] = 4,
) -> None:
    """Fetch radar files of an open archive that needs no key.

    dwd: RADOLAN RY of Germany, 5 min, the last days. fmi: reflectivity of Finland, 5 min. mrms: rain of the USA, 2 min,
    since October 2020.

    What breaks off goes on where it stopped; checksums are compared; what the archive lacks is counted as missing. The
    same command run again fetches only what is not there.

    Example: echocast download mrms --from 2024-06-01T00:00 --to 2024-06-01T01:00 --out mrms/
    """
    from echocast.fetch import download

    folder = out or Path(source)
    with Bar("fetching", "files") as bar:
        done = download.get(
            source, start, end, folder, mirror=mirror, manners=download.Manners(at_once=at_once), on_file=bar.to
        )
    Console().print(
        f"{folder}: {done.fetched} files fetched ({done.bytes / 2**20:.1f} MiB), {done.there} there before,"
        f" {done.missing} missing at the source, {len(done.failed)} failed",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if done.failed:
        name, why = next(iter(done.failed.items()))
        raise DataError(f"{len(done.failed)} files could not be fetched, {name} among them ({why}); run it again later")
