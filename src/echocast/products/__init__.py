"""Pure functions of a forecast: probabilities, quantiles, accumulations."""
