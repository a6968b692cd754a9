"""Processes: worker pools, external programs, Ray, and their termination with the run."""
