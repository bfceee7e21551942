"""Metrics in Prometheus' text format: from values to samples, and from samples to text. No I/O, and no state between
two scrapes.

names: every metric, as a table. samples: those of the catalog's figures. exposition: the text.
"""
