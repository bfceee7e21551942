"""Sphinx configuration."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "marconi-proxy"
author = "the marconi-proxy developers"
extensions = ["oslo_config.sphinxext", "tables"]
html_theme = "alabaster"
exclude_patterns = ["_build"]
