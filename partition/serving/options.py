"""Loading of options: from a file, the environment (``OS_<GROUP>__<OPTION>``) and overrides, without global state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from oslo_config import cfg

from partition.errors import BadStorageURI
from partition.model.limits import Limits
from partition.serving.option_table import GROUPS
from partition.storage.opening import driver_of


class OptionError(Exception):
    """The operator's fault: an option that does not exist or has an impossible value. The message names it."""


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return every group with its options: the hook by which oslo.config's generator finds them."""
    return [(group, list(opts)) for group, opts in GROUPS.items()]


def load(config_file: str | None = None, overrides: Mapping[str, object] | None = None) -> cfg.ConfigOpts:
    """Return all options, every value checked.

    ``overrides`` maps ``"group.option"`` to a value that wins over everything else; a None in it is left out. Groups
    and options of the file that are not ours are ignored, because it may be shared with a Zaqar. Raises OptionError.
    """
    conf = cfg.ConfigOpts()
    for group, opts in GROUPS.items():
        conf.register_opts(list(opts), group=group)
    try:
        files = [config_file] if config_file else []
        conf([], project="marconi-partition", default_config_files=files, default_config_dirs=[])
    except cfg.Error as error:
        raise OptionError(str(error)) from error
    for name, value in (overrides or {}).items():
        if value is not None:
            group, _, option = name.partition(".")
            escaped = value.replace("$", "$$") if isinstance(value, str) else value
            try:
                conf.set_override(option, escaped, group=group)
            except ValueError as error:
                raise OptionError(f"[{group}] {option}: {error}") from error
    for group, opts in GROUPS.items():
        for opt in opts:
            try:
                conf[group][opt.dest]
            except (cfg.Error, ValueError) as error:
                raise OptionError(f"[{group}] {opt.dest}: {error.__context__ or error}") from None
    _check_storage(conf)
    for name in ("max_messages_post_size", "max_queue_metadata"):
        if conf.server.max_bodies < conf.transport[name]:
            raise OptionError(f"[server] max_bodies: is less than [transport] {name}, so such bodies never fit")
    return conf


def _check_storage(conf: cfg.ConfigOpts) -> None:
    if not conf.storage.uri:
        raise OptionError("[storage] uri: is not set; set it, or OS_STORAGE__URI, or give --storage")
    try:
        driver_of(conf.storage.uri)
    except BadStorageURI as error:
        raise OptionError(f"[storage] uri: {error}") from error


def limits(conf: cfg.ConfigOpts) -> Limits:
    """Return the options of [transport] as the server's Limits."""
    values = {field.name: conf.transport[field.name] for field in fields(Limits)}
    return Limits(**values | {"subscriber_types": tuple(conf.transport.subscriber_types)})
