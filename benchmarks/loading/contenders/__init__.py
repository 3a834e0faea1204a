"""Contenders: who loads, and by which command.

Belongs here: one module per contender. Does not belong here: what is loaded (`paths.py`) or how
a run is measured (`measure.py`).
"""
