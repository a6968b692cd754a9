"""Small real components for tests of the engine, used from YAML by their dotted paths."""
