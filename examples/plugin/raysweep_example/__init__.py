"""Six parts of raysweep, each a class in a file of its own: copy this package, rename it, and replace what it does."""
