"""Running programs in interpreters of their own: plain Python, without Ray."""
