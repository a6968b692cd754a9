"""Rewrites configs of the original implementation. `tables` says what differs; the other modules apply it."""
