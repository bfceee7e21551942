"""Whether catalog and partitions agree: both are walked through in the order of their keys, what looks wrong is looked
at again and again before it counts, and what can be put right without a risk is, if an operator says so.

kinds: what there is to find, as a table. sight: what was read of one queue. judging: what is wrong with it. matching:
both sides beside each other. looking: the reading. round: from beginning to end. repairing: the only one that writes.
auditor: rounds in the background of a mover.
"""
