"""``marconi-proxy mover``: the process that moves queues."""

from __future__ import annotations

import argparse

from marconi_proxy.cli.configuration import ConfiguredVerb
from marconi_proxy.exits import CommandError


class RunMover(ConfiguredVerb):
    """Move queues from partition to partition as ordered. Runs until SIGTERM or SIGINT.

    Any number may run over one catalog, on any machine that reaches the catalog and the partitions. One mover at a time
    drives each move; if it dies, another one takes over. While none runs, moves wait, and clients are not affected.
    """

    examples = """
  marconi-proxy mover --catalog sqlite:////var/lib/marconi-proxy/catalog.db
  marconi-proxy mover --config-file /etc/marconi-proxy/marconi-proxy.conf
  OS_MOVING__AT_ONCE=2 OS_MOVING__LINGER=300 marconi-proxy mover --catalog mongodb://db1,db2/marconi?replicaSet=rs0
"""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        conf = self.conf(parsed_args)
        from marconi_proxy.mover_daemon import serve
        from marconi_proxy.serving.errors import StartError

        try:
            serve(conf)
        except StartError as error:
            raise CommandError(str(error)) from error
