"""Backups of a catalog as JSON Lines: a header, a line for each value, and a trailer that proves completeness.

``lines`` has the format of lines, and ``shapes`` that of the values in them. ``reader`` parses and checks a backup.
``exporter`` writes a catalog to a stream of bytes, and ``importer`` loads one. This package is independent of the
stores.
"""
