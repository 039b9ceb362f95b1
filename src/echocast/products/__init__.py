"""Pure functions of a forecast: probabilities, quantiles and accumulations, and all of them of an ensemble."""
