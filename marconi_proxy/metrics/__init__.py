"""Metrics in Prometheus' text format: values that were read already become samples, and samples text. No I/O, and
nothing is kept between two scrapes.

names: every metric there is, as a table. audit, statistics: samples of what the catalog keeps. exposition: the text.
"""
