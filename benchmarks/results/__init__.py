"""The page docs/results.md, from the records of the benchmarks; see `python -m benchmarks.results --help`.

`regrets` makes studies comparable over tasks, `versus` compares two ways of optimising, `sections` makes the tables,
`page` puts them together.
"""
