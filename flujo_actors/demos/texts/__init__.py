"""What the demos share about texts: markup, words, sentences, readability.

In reading order: `documents` reads a text; `markup`, `parsing`, `markdown` and `restructured_text` take it apart;
`words`, `sentences` and `readability` measure it; `separators` is for tables.
"""
