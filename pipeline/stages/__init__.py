"""The stages of the chain, one module each. They never import each other: they meet only through artifacts."""
