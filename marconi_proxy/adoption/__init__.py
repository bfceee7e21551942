"""Adoption: placements for queues that were on partitions before there was a catalog.

``survey`` reads partitions and catalog, ``planning`` decides (pure), ``plan_file`` keeps what was decided for an
operator to read and to edit, ``applying`` does it. Nothing on a partition is ever changed.
"""
