"""Pictures of fields: maps, sheets of panels, animations."""
