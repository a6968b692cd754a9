"""Code that all components with language models share."""
