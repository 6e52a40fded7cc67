"""Deploys a cluster by the toolkit's library, as its documentation does; prints what became of it."""

import json
import sys

from cratedb_toolkit import ManagedCluster

cluster = ManagedCluster(cluster_name=sys.argv[1])
try:
    cluster.deploy()
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    print(json.dumps({"cluster_id": cluster.cluster_id}))
