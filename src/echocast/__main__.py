"""``python -m echocast`` is the command ``echocast``."""

import sys


def run() -> None:
    """The entry point of the command, which says what to install where only the layers are."""
    try:
        from echocast.cli import main
    except ModuleNotFoundError as bad:
        if (bad.name or "echocast").startswith("echocast"):
            raise
        sys.exit(
            f"echocast: {bad.name} is not installed, only the layers are; for the commands:"
            " pip install 'echocast[radar]'"
        )
    main.run()


if __name__ == "__main__":
    run()
