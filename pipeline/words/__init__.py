"""Tokens as integers: shards of coded text, exact counts of words and of candidates for phrases, phrases joined."""
