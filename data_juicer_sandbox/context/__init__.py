"""The outputs of finished jobs: in memory by name, and in the checkpoint after each job."""
