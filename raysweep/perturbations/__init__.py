"""Ways of changing prompts: one file a method."""
