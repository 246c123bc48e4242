"""What a store can answer about what is in it: what made it, whether it is still so, what changed, how to make it again."""
