"""Evaluation frameworks, run in processes of their own: by this interpreter or by one that the config names."""
