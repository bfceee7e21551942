"""The options of group ``[upstream]`` as one value. Imports no I/O: the table of options takes its defaults here."""

from __future__ import annotations

from dataclasses import dataclass, fields

from oslo_config.cfg import ConfigOpts


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Times in seconds, sizes in bytes. The defaults here are those of the options, which ``option_table`` explains."""

    deadline: float = 60.0
    try_timeout: float = 5.0
    hedge: bool = False
    connect_timeout: float = 2.0
    idle_timeout: float = 60.0
    fresh_idle: float = 1.0
    max_concurrency: int = 512
    max_waiting: int = 256
    wait_timeout: float = 1.0
    max_response_head: int = 1048576
    eject_after: int = 5
    eject_errors: float = 0.5
    eject_for: float = 5.0
    eject_for_max: float = 60.0
    eject_share: float = 0.5
    slow_start: float = 10.0
    probe_interval: float = 2.0
    resolve_for: float = 30.0

    @staticmethod
    def from_options(conf: ConfigOpts) -> UpstreamLimits:
        return UpstreamLimits(**{field.name: conf.upstream[field.name] for field in fields(UpstreamLimits)})
