"""Maps and animations of fields."""
