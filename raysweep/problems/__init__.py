"""Problem sets: one file a set, and the test sets made of them."""
