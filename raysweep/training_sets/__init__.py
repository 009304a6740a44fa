"""Sources of training rows, and the sets made of them."""
