"""What executors share that hold the model themselves: how it samples, prompts as tokens, batches."""
