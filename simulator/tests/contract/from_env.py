"""Uses a cluster for the time of a `with`, suspends it afterwards, and prints what each statement gave."""

import json
import sys

import cratedb_toolkit
from cratedb_toolkit import ManagedCluster

statements, sys.argv[1:] = sys.argv[1:], []
cratedb_toolkit.configure(settings_accept_env=True)
with ManagedCluster.from_env(stop_on_exit=True) as cluster:
    print(json.dumps([cluster.query(statement) for statement in statements]))
