"""From files to text: which files a corpus means, how each is cut into shards, and the text of a shard in blocks of whole lines.

`files.find_files` says which files there are, `cutting.cut_file` where each is cut and what its digests are, and `reading.read_shard` gives
the text of a shard, whatever its format, as blocks of whole lines in UTF-8, while an `account.Account` hears what became of every record.

A record is what is kept or dropped as a whole: a line of plain text, a line of JSON Lines, a row of CSV, TSV or Parquet. The text of a
record may have several lines; each is a paragraph, as in plain text. A line ends with a line feed, with a carriage return and a line feed,
or with a carriage return alone.

Nothing here holds more than some blocks of BLOCK_BYTES and one record, or reads text twice that has no defect.
"""
