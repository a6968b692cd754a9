"""From text to a typed, frozen config: files with line numbers, variables, both pipeline forms."""
