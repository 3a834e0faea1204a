"""Mutation test of the whole: each defect of a catalogue, injected into clean data, must be caught.

    python -m benchmarks.defects [--json | --table] [--only ID] [--list]

`catalogo/*.yaml` says what is wrong and which check must say so; `catalogue.py` reads it,
`inject.py` spoils the sources, `city.py` runs the pipeline's own steps on them, `signals.py` reads
what the warehouse says afterwards, `verdict.py` compares. Nothing here knows a quality rule.
"""
