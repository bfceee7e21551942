"""Sphinx configuration."""

project = "marconi-proxy"
author = "the marconi-proxy developers"
html_theme = "alabaster"
exclude_patterns = ["_build"]
