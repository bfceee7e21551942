"""The sample configuration: every option with its help and default, by oslo.config's own generator."""

from __future__ import annotations

import io

from oslo_config import cfg, generator


def sample() -> str:
    """Return the text of ``etc/marconi-proxy.conf.sample``."""
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "marconi_proxy", "--wrap-width", "100"], default_config_files=[], default_config_dirs=[])
    text = io.StringIO()
    generator.generate(conf, output_file=text)
    return text.getvalue()
