"""The rows of a data set on their way through Data-Juicer, which gets row numbers and the fields that it needs."""
