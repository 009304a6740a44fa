"""Do perturbed texts still ask for the same? Blind sheets for people, and how far they agree."""
