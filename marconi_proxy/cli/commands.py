"""Every command, and the class that is it. A table, so that only the one that is run gets imported."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from cliff.commandmanager import CommandManager

COMMANDS = {
    "quickstart": "marconi_proxy.cli.quickstart:Quickstart",
    "serve public": "marconi_proxy.cli.serve:Public",
    "serve admin": "marconi_proxy.cli.serve:Admin",
    "partition register": "marconi_proxy.cli.partitions:Register",
    "partition list": "marconi_proxy.cli.partitions:List",
    "partition show": "marconi_proxy.cli.partitions:Show",
    "partition set": "marconi_proxy.cli.partitions:Set",
    "partition cordon": "marconi_proxy.cli.partitions:Cordon",
    "partition uncordon": "marconi_proxy.cli.partitions:Uncordon",
    "partition delete": "marconi_proxy.cli.partitions:Delete",
    "placement list": "marconi_proxy.cli.placements:List",
    "placement show": "marconi_proxy.cli.placements:Show",
    "tenant show": "marconi_proxy.cli.tenants:Show",
    "tenant set": "marconi_proxy.cli.tenants:Set",
    "tenant unset": "marconi_proxy.cli.tenants:Unset",
    "catalog init": "marconi_proxy.cli.catalog:Init",
    "config sample": "marconi_proxy.cli.config:Sample",
    "config check": "marconi_proxy.cli.config:Check",
}


class Commands(CommandManager):
    """cliff's register of commands, from COMMANDS instead of from all installed packages."""

    def _load_commands(self) -> None:
        for name, target in COMMANDS.items():
            self.commands[name] = EntryPoint(name, target, "marconi_proxy.cli")
