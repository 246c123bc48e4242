"""Models by name: their versions, and which of them an alias may stand for."""
