"""Read config files into typed, frozen dataclasses with line numbers."""
