"""Loading of options: from a file, the environment (``OS_<GROUP>__<OPTION>``) and overrides, without global state.

oslo.config ignores what it does not know. Here a wrong name fails like a wrong value does: at start, naming itself.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping

from oslo_config import cfg

from marconi_proxy.option_table import GROUPS


class OptionError(Exception):
    """The operator's fault: an option that does not exist or has an impossible value. The message names it."""


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return every group with its options: the hook by which oslo.config's generator finds them."""
    return [(group, list(opts)) for group, opts in GROUPS.items()]


def load(config_file: str | None = None, overrides: Mapping[str, object] | None = None) -> cfg.ConfigOpts:
    """Return all options, every value checked.

    ``overrides`` maps ``"group.option"`` to a value that wins over everything else; a None in it is left out. Then
    come environment variables, then ``config_file``, then defaults. Raises OptionError.
    """
    _check_environment(os.environ)
    if config_file is not None:
        _check_file(config_file)
    conf = cfg.ConfigOpts()
    for group, opts in GROUPS.items():
        conf.register_opts(list(opts), group=group)
    try:
        conf(
            [],
            project="marconi-proxy",
            default_config_files=[config_file] if config_file else [],
            default_config_dirs=[],
        )
    except cfg.Error as error:
        raise OptionError(str(error)) from error
    _take_earlier_variables(conf)
    for name, value in (overrides or {}).items():
        if value is not None:
            _override(conf, name, value)
    for group, opts in GROUPS.items():
        for opt in opts:
            _check_value(conf, group, opt)
    _check_together(conf)
    return conf


def _check_environment(environ: Mapping[str, str]) -> None:
    known = {_variable(group, name) for group, opts in GROUPS.items() for name in _names(opts)}
    prefixes = tuple(f"OS_{group}__".upper() for group in GROUPS)
    for name in sorted(environ):
        if name.startswith(prefixes) and name not in known:
            raise OptionError(f"environment variable {name} names no option{_perhaps(name, known)}")


def _check_file(path: str) -> None:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(path, sections).parse()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read the configuration file {path}: {error}") from error
    except Exception as error:
        # oslo.config's parser raises a private exception. Its text quotes the line, which may have a secret.
        raise OptionError(
            f"{path}, line {getattr(error, 'lineno', '?')}: neither [group], option = value nor # comment"
        ) from None
    for section, assignments in sections.items():
        group = section.lower()
        if group not in GROUPS:
            if section == "DEFAULT" and not assignments:
                continue
            raise OptionError(f"{path}: there is no group [{section}]{_perhaps(group, GROUPS)}")
        known = set(_names(GROUPS[group]))
        for name in assignments:
            if name not in known:
                raise OptionError(f"{path}: there is no option {name} in [{group}]{_perhaps(name, known)}")


def _names(opts: Iterable[cfg.Opt]) -> Iterator[str]:
    """Yield the names of options, also those that they had in earlier releases."""
    for opt in opts:
        yield opt.dest
        yield from _earlier_names(opt)


def _earlier_names(opt: cfg.Opt) -> list[str]:
    return [old.name for old in opt.deprecated_opts if old.name]


def _variable(group: str, name: str) -> str:
    return f"OS_{group}__{name}".upper()


def _perhaps(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _take_earlier_variables(conf: cfg.ConfigOpts) -> None:
    """Heed environment variables with names that options had in earlier releases; oslo.config only does so in files."""
    for group, opts in GROUPS.items():
        for opt in opts:
            for name in _earlier_names(opt):
                value = os.environ.get(_variable(group, name))
                if value is not None and _variable(group, opt.dest) not in os.environ:
                    _override(conf, f"{group}.{opt.dest}", value)


def _override(conf: cfg.ConfigOpts, name: str, value: object) -> None:
    group, _, option = name.partition(".")
    # Overrides are taken as they are: no $substitution, which would surprise in a password.
    escaped = value.replace("$", "$$") if isinstance(value, str) else value
    try:
        conf.set_override(option, escaped, group=group)
    except cfg.NoSuchOptError as error:
        raise OptionError(str(error)) from error
    except ValueError as error:
        raise OptionError(f"[{group}] {option}: {error}") from error


def _check_value(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt) -> None:
    try:
        conf[group][opt.dest]
    except (cfg.Error, ValueError) as error:
        variable = _variable(group, opt.dest)
        where = f" (environment variable {variable})" if variable in os.environ else ""
        # The context is the type's own message; oslo.config's adds a dump of where it was.
        reason = error.__context__ or error
        if isinstance(reason, (cfg.NoSuchOptError, cfg.TemplateSubstitutionError)):
            # Its text quotes what followed the $, which may be a piece of a password.
            reason = ValueError("a $ in a value is written $$")
        raise OptionError(f"[{group}] {opt.dest}{where}: {reason}") from None


def _check_together(conf: cfg.ConfigOpts) -> None:
    """Raise OptionError for values that are possible alone and impossible together."""
    if conf.catalog.uri is None:
        raise OptionError("[catalog] uri: is not set; set it, or OS_CATALOG__URI, or give --catalog")
    if conf.public.max_bodies < conf.public.max_body:
        raise OptionError("[public] max_bodies: is less than max_body, so the largest bodies never fit")
    if conf.listing.default_page > conf.listing.max_page:
        raise OptionError("[listing] default_page: is larger than max_page")
    if conf.directory.member_interval * 3 > conf.directory.lease:
        raise OptionError("[directory] member_interval: is more than a third of lease")
    if conf.directory.takeover_after < conf.directory.lease:
        # Else a deletion is finished by others while a worker that was cut off may still go on with it.
        raise OptionError("[directory] takeover_after: is shorter than [directory] lease")
    if conf.admin.token is not None and not (
        conf.admin.token.isascii() and conf.admin.token.isprintable() and conf.admin.token
    ):
        raise OptionError("[admin] token: must be printable ASCII, for it travels in a header")
