"""From an experiment file to weights; the only place that knows Lightning."""
