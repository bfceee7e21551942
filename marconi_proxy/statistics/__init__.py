"""What queues hold, summed up for partitions and projects in the background: beside a mover, never when somebody looks.

* ``totals`` adds up, and is pure; ``asking`` asks partitions; ``collector`` walks over the placements with the two.
"""
