"""Planning and execution: decide which jobs run and why, run them in order, checkpoint after each job."""
