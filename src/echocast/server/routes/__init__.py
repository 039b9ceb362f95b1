"""The parts of the interface below /v1, a module each with a function ``add(app, service)``."""
