"""What completes prompts: one file a generator."""
