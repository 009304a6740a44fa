"""Programs that attack, outlive or disturb others, and many of them."""
