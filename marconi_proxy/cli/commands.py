"""Every command and its class. A table, so that running a command imports no other one."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from cliff.commandmanager import CommandManager

# The names of earlier releases, and those of today.
ALIASES = {"move plan": "plan create", "move apply": "plan apply"}
COMMANDS = {
    "quickstart": "marconi_proxy.cli.quickstart:Quickstart",
    "serve public": "marconi_proxy.cli.serve:ServePublic",
    "serve admin": "marconi_proxy.cli.serve:ServeAdmin",
    "mover": "marconi_proxy.cli.mover:RunMover",
    "partition register": "marconi_proxy.cli.partitions:PartitionRegister",
    "partition list": "marconi_proxy.cli.partitions:PartitionList",
    "partition show": "marconi_proxy.cli.partitions:PartitionShow",
    "partition set": "marconi_proxy.cli.partitions:PartitionSet",
    "partition cordon": "marconi_proxy.cli.partitions:PartitionCordon",
    "partition uncordon": "marconi_proxy.cli.partitions:PartitionUncordon",
    "partition delete": "marconi_proxy.cli.partitions:PartitionDelete",
    "placement list": "marconi_proxy.cli.placements:PlacementList",
    "placement count": "marconi_proxy.cli.placements:PlacementCount",
    "placement show": "marconi_proxy.cli.placements:PlacementShow",
    "partition drain": "marconi_proxy.cli.bulk_moves:PartitionDrain",
    "region evacuate": "marconi_proxy.cli.bulk_moves:RegionEvacuate",
    "rebalance": "marconi_proxy.cli.bulk_moves:Rebalance",
    "move start": "marconi_proxy.cli.moves:MoveStart",
    "move list": "marconi_proxy.cli.moves:MoveList",
    "move show": "marconi_proxy.cli.moves:MoveShow",
    "move watch": "marconi_proxy.cli.moves:MoveWatch",
    "move pause": "marconi_proxy.cli.moves:MovePause",
    "move resume": "marconi_proxy.cli.moves:MoveResume",
    "move cancel": "marconi_proxy.cli.moves:MoveCancel",
    "move reverse": "marconi_proxy.cli.moves:MoveReverse",
    "move certificate": "marconi_proxy.cli.moves:MoveCertificate",
    "move export": "marconi_proxy.cli.move_export:MoveExport",
    "move tenant": "marconi_proxy.cli.bulk_moves:MoveTenant",
    "plan create": "marconi_proxy.cli.plan_files:PlanCreate",
    "plan apply": "marconi_proxy.cli.plan_files:PlanApply",
    "plan list": "marconi_proxy.cli.plans:PlanList",
    "plan show": "marconi_proxy.cli.plans:PlanShow",
    "plan pause": "marconi_proxy.cli.plans:PlanPause",
    "plan resume": "marconi_proxy.cli.plans:PlanResume",
    "plan stop": "marconi_proxy.cli.plans:PlanStop",
    "member list": "marconi_proxy.cli.members:MemberList",
    "member evict": "marconi_proxy.cli.members:MemberEvict",
    "stats partitions": "marconi_proxy.cli.statistics:StatsPartitions",
    "stats projects": "marconi_proxy.cli.statistics:StatsProjects",
    "tenant list": "marconi_proxy.cli.tenants:TenantList",
    "tenant show": "marconi_proxy.cli.tenants:TenantShow",
    "tenant set": "marconi_proxy.cli.tenants:TenantSet",
    "tenant unset": "marconi_proxy.cli.tenants:TenantUnset",
    "catalog init": "marconi_proxy.cli.catalog:CatalogInit",
    "catalog adopt plan": "marconi_proxy.cli.adoption:CatalogAdoptPlan",
    "catalog adopt apply": "marconi_proxy.cli.adoption:CatalogAdoptApply",
    "catalog verify": "marconi_proxy.cli.verify:CatalogVerify",
    "catalog export": "marconi_proxy.cli.catalog:CatalogExport",
    "catalog import": "marconi_proxy.cli.catalog:CatalogImport",
    "config sample": "marconi_proxy.cli.config:ConfigSample",
    "config check": "marconi_proxy.cli.config:ConfigCheck",
}
COMMANDS |= {alias: COMMANDS[name] for alias, name in ALIASES.items()}


class Commands(CommandManager):
    """cliff's register of commands, from COMMANDS instead of from all installed packages."""

    def _load_commands(self) -> None:
        for name, target in COMMANDS.items():
            self.commands[name] = EntryPoint(name, target, "marconi_proxy.cli")
