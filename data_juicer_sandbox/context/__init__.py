"""What finished jobs put out: kept in memory by name, and on disk after every job."""
