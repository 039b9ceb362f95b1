"""Files become fields, fields become windows, forecasts become files."""
