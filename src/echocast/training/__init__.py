"""From an experiment file to weights: one loop, Lightning's, which no other part of the package knows."""
