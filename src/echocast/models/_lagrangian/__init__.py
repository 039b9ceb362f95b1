"""The parts of `lagrangian`: settings, network, the newest frame's detail, its advection, noise, bounds of heavy rain."""
