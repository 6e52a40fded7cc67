"""Loads one thing after the other into a cluster, within one process; prints the name of each that was loaded."""

import sys

from cratedb_toolkit import ManagedCluster
from cratedb_toolkit.model import InputOutputResource

cluster = ManagedCluster(cluster_id=sys.argv[1])
cluster.probe()
for source in sys.argv[2:]:
    cluster.load_table(InputOutputResource(url=source))
    print("loaded", source)
