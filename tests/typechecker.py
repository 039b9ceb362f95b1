"""The checker of types at run time that the tests run under: beartype, for which an int is a float too (PEP 484)."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
