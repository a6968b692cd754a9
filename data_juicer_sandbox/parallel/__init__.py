"""Run tasks side by side: in processes of this machine, on SLURM, or on Ray."""
