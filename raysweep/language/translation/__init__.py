"""Back-translation: one file an engine."""
