"""Where metrics go: the local file always, and other trackers beside it."""
