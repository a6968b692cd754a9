"""Classifiers that tell good texts from bad ones, as for GPT-3."""
