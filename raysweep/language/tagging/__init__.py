"""Part-of-speech taggers: one file a tagger."""
