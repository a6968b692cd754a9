"""What all components that use language models share."""
