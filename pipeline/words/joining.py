"""A table of phrases in the codes of one shard, whose text it joins."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.phrases import join_phrases
from pipeline.storage.tables import Text
from pipeline.words.counting import one_array

HIGH = np.int64(32)
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ShardPhrases:
    """The phrases whose words a shard has."""

    steps: npt.NDArray[np.uint64]
    leads_to: npt.NDArray[np.int32]
    """Both as `join_phrases` wants them."""
    tokens: tuple[pa.StringArray, pa.StringArray]
    """By code: the shard's, as they were, and behind them those that phrases make."""

    def join(self, text: Text) -> Text:
        """The text with its phrases joined."""
        return Text(*join_phrases(text.codes, text.offsets, self.steps, self.leads_to))


def phrases_of_shard(table: pa.Table, tokens: pa.StringArray, delimiter: str) -> ShardPhrases:
    """The phrases whose words a shard has, in its codes.

    Parameters
    ----------
    table
        Of the schema PHRASES.
    tokens
        The shard's tokens by code.
    delimiter
        What stands between the words of a phrase.

    Notes
    -----
    Which words are connectors is not asked. One that is inside no phrase of the table is at the end of none either: whether it is passed
    over or begins a phrase in vain, the same words come out.
    """
    first_words, second_words, connectors = (one_array(table[name]) for name in ("first", "second", "connectors"))
    words, codes = _looked_up(pa.concat_arrays([first_words, second_words, connectors.values]), tokens)
    first, second, inside = np.split(codes[words.indices.to_numpy()], [len(table), 2 * len(table)])
    offsets = connectors.offsets.to_numpy().astype(np.int64)
    n_missing = np.concatenate([np.zeros(1, np.int64), np.cumsum(inside < 0)])
    here = (first >= 0) & (second >= 0) & (np.diff(n_missing[offsets]) == 0)
    # Different phrases can give one token (a_b + c, a + b_c), or one that the shard has.
    is_here = pa.array(here)
    spelled = _spell(first_words.filter(is_here), second_words.filter(is_here), connectors.filter(is_here), delimiter)
    made, codes = _looked_up(spelled, tokens)
    is_new = codes < 0
    codes[is_new] = len(tokens) + np.arange(is_new.sum())
    made_codes = codes[made.indices.to_numpy()]
    steps, leads_to = _steps(first[here], second[here], made_codes, inside, offsets[:-1][here], np.diff(offsets)[here], len(tokens))
    order = np.argsort(steps)
    new_tokens = made.dictionary.filter(pa.array(is_new))
    return ShardPhrases(steps[order].astype(np.uint64), leads_to[order].astype(np.int32), (tokens, new_tokens))


def _looked_up(strings: pa.StringArray, tokens: pa.StringArray) -> tuple[pa.DictionaryArray, Codes]:
    """The strings, each different one once, by first occurrence; and the codes of these, -1 where they are no tokens."""
    encoded = strings.dictionary_encode()
    codes = np.full(len(encoded.dictionary), -1)
    # The strings are hashed, and not the tokens, of which a shard of different words has a million.
    places = pc.index_in(tokens, value_set=encoded.dictionary)
    codes[places.drop_null().to_numpy()] = np.flatnonzero(places.is_valid())
    return encoded, codes


def _spell(first: pa.StringArray, second: pa.StringArray, connectors: pa.ListArray, delimiter: str) -> pa.StringArray:
    """The tokens that phrases become."""
    short = pc.binary_join_element_wise(first, second, delimiter)
    if not len(connectors.values):
        return short
    inside = pc.binary_join(connectors.cast(pa.list_(pa.string())), delimiter)
    long = pc.binary_join_element_wise(first, inside, second, delimiter)
    return pc.if_else(pc.greater(pc.list_value_length(connectors), 0), long, short)


def _steps(
    first: Codes, second: Codes, codes: Codes, inside: Codes, begin: Codes, lengths: Codes, n_tokens: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """From first words by connectors to places, which are numbered from n_tokens on, and at last to the codes of phrases; in no order.

    The connectors of a phrase are inside[begin : begin + length]. Phrases that begin alike share their places.
    """
    origin = first.copy()
    steps, leads_to = [], []
    n_places = n_tokens
    for number in range(int(lengths.max(initial=0))):
        long = np.flatnonzero(lengths > number)
        distinct, which = np.unique(origin[long] << HIGH | inside[begin[long] + number], return_inverse=True)
        places = n_places + np.arange(len(distinct))
        steps.append(distinct)
        leads_to.append(~places)
        origin[long] = places[which]
        n_places += len(distinct)
    steps.append(origin << HIGH | second)
    leads_to.append(codes.astype(np.int64))
    return np.concatenate(steps), np.concatenate(leads_to)
