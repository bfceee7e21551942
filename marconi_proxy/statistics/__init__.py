"""The contents of queues, summed by partition and by project in the background of a mover, never on request.

``totals`` adds up, and is pure; ``poller`` polls partitions; ``collector`` walks over all placements with the two.
"""
