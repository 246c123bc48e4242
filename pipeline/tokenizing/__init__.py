"""From text to tokens: what a token is, the tokenizers, and lines that the byte kernel does not take."""
