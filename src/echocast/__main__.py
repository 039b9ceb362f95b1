"""``python -m echocast`` is the command ``echocast``."""

from echocast.cli.main import run

if __name__ == "__main__":
    run()
