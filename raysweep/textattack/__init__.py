"""raysweep's perturbations in textattack's attacks, and what it takes to load textattack without a network."""
