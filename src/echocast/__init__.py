"""echocast: radar files in, a verified, georeferenced forecast out."""

__version__ = "0.1.0"
