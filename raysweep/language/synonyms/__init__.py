"""Sources of synonyms: one file a source."""
