"""The only room that knows Dagster: assets, checks, schedules, sensors, warehouse, command line.

Everything else in the project is a plain function of a connection and a contract; here it is put
in order, run, watched and told to people. Rules about data do not belong here.
"""
