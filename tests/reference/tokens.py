"""Tokens and sentences one character at a time, by the definition in words; invalid bytes by Python's own decoder."""

import unicodedata

CLOSERS = "\"')]}»”’"


def is_token_character(character):
    """Whether a character is a letter, a mark or a decimal digit of the first four planes."""
    category = unicodedata.category(character)
    return ord(character) < 0x40000 and (category[0] in "LM" or category == "Nd")


def is_white(character):
    """Whether a character has Unicode's property White_Space."""
    return unicodedata.category(character) in ("Zs", "Zl", "Zp") or character in "\t\n\v\f\r\x85"


def tokens(sentence, lowercase):
    """The tokens of a stretch of text."""
    found, token = [], ""
    for i, character in enumerate(sentence):
        if is_token_character(character):
            token += character.lower()[0] if lowercase else character
        elif (
            character in "'’" and 0 < i < len(sentence) - 1 and is_token_character(sentence[i - 1]) and is_token_character(sentence[i + 1])
        ):
            token += "'"
        else:
            found.append(token)
            token = ""
    return [token for token in [*found, token] if token]


def sentence_end(line, i):
    """The place behind the sentence that ends with the mark at `i`, not looking at white space; None when none ends there."""
    if line[i] in "。！？":
        return i + 1
    if line[i] not in ".!?":
        return None
    while i < len(line) and line[i] in ".!?":
        i += 1
    while i < len(line) and line[i] in CLOSERS:
        i += 1
    return i if i < len(line) and is_white(line[i]) else None


def sentences_of_line(line, split):
    """The stretches of a line (without its line feed) that are sentences."""
    found, start, i = [], 0, 0
    while split and i < len(line):
        end = sentence_end(line, i)
        if end is None:
            i += 1
            continue
        while end < len(line) and is_white(line[end]):
            end += 1
        found.append(line[start:end])
        start = i = end
    # What is left ends with the line, unless an end before it reached that far.
    return found if found and start == len(line) else [*found, line[start:]]


def read_text(text, lowercase, split):
    """The sentences that have tokens, as lists of tokens, and the number of those that have none."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    every = [tokens(sentence, lowercase) for line in lines for sentence in sentences_of_line(line, split)]
    kept = [sentence for sentence in every if sentence]
    return kept, len(every) - len(kept)


def first_invalid(data):
    """The offset of the first NUL or invalid UTF-8 sequence, -1 when there is none."""
    nul = data.find(b"\0")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start if nul < 0 else min(nul, error.start)
    return nul
