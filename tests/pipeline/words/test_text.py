from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.storage.keys import digest_of_file
from pipeline.storage.schemas import LEXICON, PAIRS, SENTENCES
from pipeline.storage.tables import SENTENCES_A_GROUP, Text, count_elements, count_rows, read_table, read_text, write_table
from pipeline.words.text import TextShard, codes_to_ids, joined, regrouped, write_shard

sentence_lists = st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=40)


def text_of(sentences: list[list[int]]) -> Text:
    offsets = np.cumsum([0] + [len(sentence) for sentence in sentences], dtype=np.int64)
    return Text(np.array([code for sentence in sentences for code in sentence], dtype=np.int32), offsets)


def sentences_of(text: Text) -> list[list[int]]:
    return [text.codes[begin:end].tolist() for begin, end in zip(text.offsets[:-1], text.offsets[1:], strict=True)]


@given(st.lists(sentence_lists, max_size=5), st.integers(1, 10))
def test_regrouped__keeps_every_sentence_and_fills_every_group(parts: list[list[list[int]]], n_sentences: int) -> None:
    groups = [sentences_of(group) for group in regrouped(map(text_of, parts), n_sentences)]
    assert [sentence for group in groups for sentence in group] == [sentence for part in parts for sentence in part]
    assert all(len(group) == n_sentences for group in groups[:-1])
    assert all(groups)


@given(st.lists(sentence_lists, min_size=1, max_size=4))
def test_joined__is_the_texts_one_after_the_other(parts: list[list[list[int]]]) -> None:
    assert sentences_of(joined([text_of(part) for part in parts])) == [sentence for part in parts for sentence in part]


@given(sentence_lists, st.integers(1, 12))
def test_cut__keeps_every_sentence_in_parts_that_are_full(sentences: list[list[int]], most: int) -> None:
    parts = [sentences_of(part) for part in text_of(sentences).cut(most)]
    sizes = [sum(map(len, part)) for part in parts]
    assert [sentence for part in parts for sentence in part] == sentences
    assert all(size <= most or len(part) == 1 for part, size in zip(parts, sizes, strict=True))
    assert all(size + len(after[0]) > most for size, after in zip(sizes, parts[1:], strict=False))


def test_write_shard__counts_what_it_writes_and_any_range_reads_back(tmp_path) -> None:
    rng = np.random.default_rng(1)
    sentences = [rng.integers(0, 9, rng.integers(0, 4)).tolist() for _ in range(2 * SENTENCES_A_GROUP + 100)]
    texts = [text_of(sentences[:5000]), text_of(sentences[5000:])]
    sentences_file, lexicon_file, n_tokens = write_shard(tmp_path, "00000/", texts, [pa.array([str(code) for code in range(11)])])
    shard = TextShard(tmp_path / "00000")
    counts = shard.lexicon()["count"].to_pylist()
    assert sum(counts) == n_tokens == sum(map(len, sentences))
    assert counts == np.bincount(np.concatenate([np.array(sentence, int) for sentence in sentences]), minlength=11).tolist()
    assert (sentences_file.n_rows, lexicon_file.n_rows, shard.n_sentences) == (len(sentences), 11, len(sentences))
    assert sentences_file.sha256 == digest_of_file(tmp_path / sentences_file.name)
    for first, last in [
        (0, None),
        (0, 1),
        (5, SENTENCES_A_GROUP + 3),
        (SENTENCES_A_GROUP, 2 * SENTENCES_A_GROUP),
        (len(sentences) - 1, None),
        (7, 7),
    ]:
        read = [sentence for text in shard.sentences(first, last) for sentence in sentences_of(text)]
        assert read == sentences[first:last]


def test_write_shard__of_no_text_at_all(tmp_path) -> None:
    write_shard(tmp_path, "", [], [pa.array([], pa.string())])
    assert list(TextShard(tmp_path).sentences()) == []
    assert TextShard(tmp_path).lexicon().num_rows == 0


def test_codes_to_ids__marks_what_is_not_in_the_vocabulary() -> None:
    assert codes_to_ids(pa.array(["b", "rare", "a"]), pa.array(["a", "b"])).tolist() == [1, -1, 0]


def test_count_elements__is_the_number_of_list_elements(tmp_path) -> None:
    lists = pa.array([[1, 2, 3], [4, 5]], SENTENCES.field(0).type)
    write_table(tmp_path, "x.parquet", SENTENCES, pa.table([lists], schema=SENTENCES))
    assert (count_elements(tmp_path / "x.parquet"), count_rows(tmp_path / "x.parquet")) == (5, 2)


def test_write_table__gives_the_same_bytes_twice(tmp_path) -> None:
    table = pa.table({"token": ["a", "b"], "count": [1, 2]}, schema=LEXICON)
    assert write_table(tmp_path, "x", LEXICON, table).sha256 == write_table(tmp_path, "y", LEXICON, table).sha256


def test_write_table__refuses_another_schema(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"names|schema"):
        write_table(tmp_path, "x", LEXICON, pa.table({"word": ["a"], "count": [1]}))


def test_write_table__refuses_a_null(tmp_path) -> None:
    with pytest.raises(ValueError, match="null"):
        write_table(tmp_path, "x", LEXICON, pa.table({"token": pa.array(["a", None]), "count": [1, 2]}))


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped byte in the footer", "another table"])
def test_read_table__names_the_file_that_cannot_be_read(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(tmp_path, path.name, LEXICON, pa.table({"token": ["a"], "count": [1]}, schema=LEXICON))
    content = bytearray(path.read_bytes())
    match damage:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(content[:-10])
        case "flipped byte in the footer":
            content[-6] ^= 0xFF
            path.write_bytes(content)
        case "another table":
            pq.write_table(pa.table({"token": ["a"], "count": pa.array([1], pa.int32())}), path)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        read_table(path, LEXICON)
    assert str(path) in str(caught.value)


def test_read_text__checks_the_schema(tmp_path) -> None:
    lists = [pa.array([[1]], column.type) for column in PAIRS]
    write_table(tmp_path, "pairs.parquet", PAIRS, pa.table(lists, schema=PAIRS))
    with pytest.raises(StoreError):
        list(read_text(tmp_path / "pairs.parquet"))
