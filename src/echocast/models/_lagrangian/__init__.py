"""The parts of `lagrangian`: settings, network, detail of the newest frame, advection, noise, bounds of heavy rain."""
