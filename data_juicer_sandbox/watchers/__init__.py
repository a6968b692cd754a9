"""Trackers of metrics: the local file, which is always used, and others."""
