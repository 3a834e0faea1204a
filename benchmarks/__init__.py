"""Measurements: speed and memory, as figures of one run on one machine. Never part of the tests."""
