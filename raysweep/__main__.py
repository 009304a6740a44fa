"""``python -m raysweep`` is ``raysweep``."""

from raysweep.cli import main

main()
