"""Tokens and sentences one character at a time, by the definition in words; invalid bytes by Python's own decoder."""

import unicodedata

CLOSERS = "\"')]}»”’"
IDEOGRAPHS_AND_HIRAGANA = ("CJK UNIFIED IDEOGRAPH-", "CJK COMPATIBILITY IDEOGRAPH-", "HIRAGANA ", "HENTAIGANA ")


def is_token_character(character, digits="keep"):
    """Whether a character is a letter, a mark or a decimal digit (unless digits are dropped) of the first four planes."""
    category = unicodedata.category(character)
    return ord(character) < 0x40000 and (category[0] in "LM" or (category == "Nd" and digits != "drop"))


def stands_alone(character):
    """Whether a character is an ideograph or hiragana, by its name, or one of three marks that are used like ideographs."""
    named = unicodedata.name(character, "").startswith(IDEOGRAPHS_AND_HIRAGANA)
    return character in "々〆〻" or (named and unicodedata.category(character)[0] == "L")


def written(character, lowercase, digits="keep"):
    """What stands in the token for one of its characters."""
    if digits == "map" and unicodedata.category(character) == "Nd":
        return "0"
    return character.lower()[0] if lowercase else character


def is_white(character):
    """Whether a character has Unicode's property White_Space."""
    return unicodedata.category(character) in ("Zs", "Zl", "Zp") or character in "\t\n\v\f\r\x85"


def tokens(sentence, lowercase, digits="keep", characters=False):
    """The tokens of a stretch of text; with `characters`, ideographs and hiragana are tokens of their own."""
    found, token, alone = [], "", False
    for i, character in enumerate(sentence):
        following = sentence[i + 1 : i + 2]
        if not is_token_character(character, digits):
            joins = character in "'’" and token and not alone and following and is_token_character(following, digits)
            if joins and not (characters and stands_alone(following)):
                token += "'"
            else:
                found.append(token)
                token, alone = "", False
        elif characters and stands_alone(character):
            found.append(token)
            token, alone = written(character, lowercase, digits), True
        elif alone and unicodedata.category(character)[0] != "M":
            found.append(token)
            token, alone = written(character, lowercase, digits), False
        else:
            token += written(character, lowercase, digits)
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


def lines_of(text):
    """The lines of a text; the last may lack its line feed."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def read_text(text, lowercase, split, digits="keep", characters=False):
    """The sentences that have tokens, as lists of tokens, and the number of those that have none."""
    every = [tokens(sentence, lowercase, digits, characters) for line in lines_of(text) for sentence in sentences_of_line(line, split)]
    kept = [sentence for sentence in every if sentence]
    return kept, len(every) - len(kept)


def leave_out(sentences, stop_words, least):
    """The sentences without stop words that have at least `least` tokens then, and how much of the others there was."""
    kept, n = [], {"stopped": 0, "emptied": 0, "short": 0, "in_short": 0}
    for sentence in sentences:
        rest = [token for token in sentence if token not in stop_words]
        n["stopped"] += len(sentence) - len(rest)
        if not rest:
            n["emptied"] += 1
        elif len(rest) < least:
            n["short"] += 1
            n["in_short"] += len(rest)
        else:
            kept.append(rest)
    return kept, n


def first_invalid(data):
    """The offset of the first NUL or invalid UTF-8 sequence, -1 when there is none."""
    nul = data.find(b"\0")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start if nul < 0 else min(nul, error.start)
    return nul
