"""The audit: compares the catalog with the partitions, confirms each difference, and repairs on an operator's request.

* ``kinds``: the table of findings. ``observation``: the readings of one queue, and a finding. ``findings``: the rules
  from readings to findings; pure.
* ``merge_join``: placements and listings side by side, in the order of their keys. ``inspector``: reads one queue.
* ``round``: one audit from beginning to end. ``repair``: the only module that writes. ``auditor``: rounds in the
  background of a mover. ``factory``: makes all of these from options and an open catalog.
"""
