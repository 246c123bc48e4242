"""What the tokens of a text depend on, beside the text and the options: both are in the key of whatever is made from tokens."""

import unicodedata

TOKENIZER_VERSION = 1  # of the definition in characters.py
UNICODE_VERSION = unicodedata.unidata_version
