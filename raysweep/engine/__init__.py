"""Where the work runs. The only package that imports Ray."""
