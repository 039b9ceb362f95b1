"""The script `scripts/structure` as a module, so that tests and script share one code."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

_loader = SourceFileLoader("structure_script", str(Path(__file__).parents[1] / "scripts" / "structure"))
_spec = spec_from_loader(_loader.name, _loader)
if _spec is None:
    raise ImportError("scripts/structure cannot be loaded")
structure = module_from_spec(_spec)
sys.modules[_loader.name] = structure
_loader.exec_module(structure)
