"""Classifiers of text quality, as used to filter GPT-3's data."""
