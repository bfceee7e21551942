"""Every command and its class. A table, so that running a command imports no other one."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from cliff.commandmanager import CommandManager

# The names of earlier releases, and those of today.
ALIASES = {"move plan": "plan create", "move apply": "plan apply"}
COMMANDS = {
    "quickstart": "marconi_proxy.cli.quickstart:Quickstart",
    "serve public": "marconi_proxy.cli.serve:Public",
    "serve admin": "marconi_proxy.cli.serve:Admin",
    "mover": "marconi_proxy.cli.mover:Mover",
    "partition register": "marconi_proxy.cli.partitions:Register",
    "partition list": "marconi_proxy.cli.partitions:List",
    "partition show": "marconi_proxy.cli.partitions:Show",
    "partition set": "marconi_proxy.cli.partitions:Set",
    "partition cordon": "marconi_proxy.cli.partitions:Cordon",
    "partition uncordon": "marconi_proxy.cli.partitions:Uncordon",
    "partition delete": "marconi_proxy.cli.partitions:Delete",
    "placement list": "marconi_proxy.cli.placements:List",
    "placement count": "marconi_proxy.cli.placements:Count",
    "placement show": "marconi_proxy.cli.placements:Show",
    "partition drain": "marconi_proxy.cli.planning:Drain",
    "region evacuate": "marconi_proxy.cli.planning:Evacuate",
    "rebalance": "marconi_proxy.cli.planning:Rebalance",
    "move start": "marconi_proxy.cli.moves:Start",
    "move list": "marconi_proxy.cli.moves:List",
    "move show": "marconi_proxy.cli.moves:Show",
    "move watch": "marconi_proxy.cli.moves:Watching",
    "move pause": "marconi_proxy.cli.moves:Pause",
    "move resume": "marconi_proxy.cli.moves:Resume",
    "move cancel": "marconi_proxy.cli.moves:Cancel",
    "move reverse": "marconi_proxy.cli.moves:Reverse",
    "move certificate": "marconi_proxy.cli.moves:Certificate",
    "move export": "marconi_proxy.cli.move_export:Export",
    "move tenant": "marconi_proxy.cli.planning:MoveTenant",
    "plan create": "marconi_proxy.cli.plan_files:Write",
    "plan apply": "marconi_proxy.cli.plan_files:Apply",
    "plan list": "marconi_proxy.cli.plans:List",
    "plan show": "marconi_proxy.cli.plans:Show",
    "plan pause": "marconi_proxy.cli.plans:Pause",
    "plan resume": "marconi_proxy.cli.plans:Resume",
    "plan stop": "marconi_proxy.cli.plans:Stop",
    "member list": "marconi_proxy.cli.members:List",
    "member evict": "marconi_proxy.cli.members:Evict",
    "stats partitions": "marconi_proxy.cli.statistics:Partitions",
    "stats projects": "marconi_proxy.cli.statistics:Projects",
    "tenant list": "marconi_proxy.cli.tenants:List",
    "tenant show": "marconi_proxy.cli.tenants:Show",
    "tenant set": "marconi_proxy.cli.tenants:Set",
    "tenant unset": "marconi_proxy.cli.tenants:Unset",
    "catalog init": "marconi_proxy.cli.catalog:Init",
    "catalog adopt plan": "marconi_proxy.cli.adoption:Plan",
    "catalog adopt apply": "marconi_proxy.cli.adoption:Apply",
    "catalog verify": "marconi_proxy.cli.verify:Verify",
    "catalog export": "marconi_proxy.cli.catalog:Export",
    "catalog import": "marconi_proxy.cli.catalog:Import",
    "config sample": "marconi_proxy.cli.config:Sample",
    "config check": "marconi_proxy.cli.config:Check",
}
COMMANDS |= {alias: COMMANDS[name] for alias, name in ALIASES.items()}


class Commands(CommandManager):
    """cliff's register of commands, from COMMANDS instead of from all installed packages."""

    def _load_commands(self) -> None:
        for name, target in COMMANDS.items():
            self.commands[name] = EntryPoint(name, target, "marconi_proxy.cli")
