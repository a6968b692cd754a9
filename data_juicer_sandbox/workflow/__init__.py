"""The job model that validation, planning and execution share."""
