"""Loading compared: ours, its peers and the machine's limit, on the same rows in one run.

Belongs here: the data, the servers, the contenders, the check that they loaded the same, and the
figures. Does not belong here: the command line (`benchmarks/load.py`), or watching a process tree
of the pipeline (`benchmarks/processes.py`).
"""
