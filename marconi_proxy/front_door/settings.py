"""The configuration of the front door as one immutable value. ``marconi_proxy.options`` has the options and their help
texts."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_config.cfg import ConfigOpts

from marconi_proxy.front_door.pages import PageLimits
from marconi_proxy.upstream.limits import UpstreamLimits


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes in bytes, times in seconds."""

    catalog_uri: str
    max_body: int
    trust_forwarded_for: bool
    cache_size: int
    member_interval: float
    lease: float
    takeover_after: float
    hold_max: float
    max_held: int
    seal_overdue: float
    ambiguity: float
    linger: float
    default_page: int
    max_page: int
    pages: PageLimits
    upstream: UpstreamLimits

    @staticmethod
    def from_options(conf: ConfigOpts) -> Settings:
        """Return the settings of a loaded configuration."""
        return Settings(
            catalog_uri=conf.catalog.uri,
            max_body=conf.public.max_body,
            trust_forwarded_for=conf.public.trust_forwarded_for,
            cache_size=conf.directory.cache_size,
            member_interval=conf.directory.member_interval,
            lease=conf.directory.lease,
            takeover_after=conf.directory.takeover_after,
            hold_max=conf.moving.hold_max,
            max_held=conf.moving.max_held,
            seal_overdue=conf.moving.seal_overdue,
            ambiguity=conf.moving.ambiguity,
            linger=conf.moving.linger,
            default_page=conf.listing.default_page,
            max_page=conf.listing.max_page,
            pages=PageLimits(scan=conf.listing.scan_limit, ask=conf.listing.ask_limit, deadline=conf.listing.deadline),
            upstream=UpstreamLimits.from_options(conf),
        )
