"""Model families: one file an architecture; loading, prompts, tokenizers."""
