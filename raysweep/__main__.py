"""``python -m raysweep`` is ``raysweep``."""

from raysweep.cli.app import main

main()
