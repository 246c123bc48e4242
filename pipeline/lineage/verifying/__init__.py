"""Whether what is in a store is still what was made."""
