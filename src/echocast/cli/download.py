"""echocast download: radar files of open archives."""

from pathlib import Path
from typing import Annotated

import typer

from echocast import plugins
from echocast.cli import arguments, output
from echocast.cli.progress import Bar
from echocast.errors import DataError


def command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The archive: dwd, fmi, mrms, or one of a plug-in.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="First time (UTC), as 2024-06-01T12:00.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Last time (UTC).")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder for the files. Default: SOURCE.")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option("--mirror", metavar="URL", help="Another server with the same layout.")
    ] = None,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=16, help="Files to download at the same time.")
    ] = 4,
) -> None:
    """Download radar files from an open archive that needs no key.

    dwd: RADOLAN RY of Germany, every 5 minutes, the last days. fmi: reflectivity of Finland, every 5 minutes.
    mrms: rain rate of the USA, every 2 minutes, since October 2020.

    Interrupted transfers are resumed and checksums are compared. Files that the archive lacks are counted as missing.
    The same command run again downloads only what is not there.

    Example: echocast download mrms --from 2024-06-01T00:00 --to 2024-06-01T01:00 --out mrms/
    """
    arguments.check_name(source, plugins.names("echocast.fetch.sources"), "source")
    folder = out or Path(source)
    arguments.check_output_folder(folder, "--out")
    from echocast.fetch import download
    from echocast.fetch.transfer import DownloadOptions

    options = DownloadOptions(parallel=parallel)
    with Bar("downloading", "files") as bar:
        report = download.get(source, start, end, folder, mirror=mirror, options=options, on_file=bar.to)
    output.say(
        f"{folder}: {report.downloaded} files downloaded ({report.bytes / 2**20:.1f} MiB), {report.there} already"
        f" there, {report.missing} missing at the source, {len(report.failed)} failed",
    )
    if report.failed:
        name, why = next(iter(report.failed.items()))
        raise DataError(
            f"{len(report.failed)} files could not be downloaded, {name} among them ({why}); run the command again"
        )
