"""Quality: what the data must be like, on the doorstep and in the marts.

Belongs here: checks derived from contracts (Pandera, on Arrow), the disaggregated-data protocol
and the Great Expectations suites of the marts, all as plain functions of a batch or a database
address. Does not belong here: reading sources, writing rows, deciding what a red check withholds.
"""
