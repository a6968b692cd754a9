"""Processes: worker pools, external programs, Ray, and what ends them with their run."""
