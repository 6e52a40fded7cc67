"""Machines that share a simulated Cloud cluster: their processes, directories and deaths."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = ROOT / "tests/consumers/machines"
SECRET = "rounds-secret-that-is-long-enough"
ROW = ("SELECT state, owner, leases, _seq_no, CURRENT_TIMESTAMP::BIGINT, ours FROM cratedb_test.lease WHERE id = 0 "
       "-- the observer's")
UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", "--kill-child")
# Process 1 of a machine: it runs the tests, and stays until the machine is switched off.
INIT = """hostname "$0" 2>/dev/null; dir=$1; shift; "$@" >"$dir/output" 2>&1 </dev/null; echo $? >"$dir/exit"
while :; do sleep 1; done"""


def ask(url, method, path, body=None, authorization=None):
    """Sends one request. Returns the status and the parsed answer; (0, None) if there is none."""
    connection = http.client.HTTPConnection(url.split("//")[1].rstrip("/"), timeout=10)
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    except (OSError, ValueError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


def environment(cloud, directory, name):
    """Returns the variables of a machine: nothing of the caller's settings, and directories of its own."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("CRATEDB_", "NEXTEST", "CARGO_")) and key != "CI"}
    kept.update({
        "CARGO_HOME": os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo")),
        "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_TARGET_DIR": str(cloud.builds),
        "CRATEDB_CLOUD_ENDPOINT": cloud.url, "CRATEDB_CLOUD_API_KEY": "rounds", "CRATEDB_CLOUD_API_SECRET": SECRET,
        "CRATEDB_CLUSTER_NAME": "ci", "CRATEDB_TEST_DIR": str(directory / "k"), "CRATEDB_TEST_LOG": "debug",
        "CRATEDB_TEST_OUTER": str(os.getpid()), "CRATEDB_TEST_MIRROR": "http://127.0.0.1:1/",
        "XDG_CONFIG_HOME": str(directory), "XDG_CACHE_HOME": str(directory), "TMPDIR": str(directory), "USER": name,
    })
    return kept


class Cloud:
    """A simulator with one cluster, from one round to the next."""

    def __init__(self, programs, builds, directory, operation, engine):
        self.programs, self.builds, self.operation = programs, builds, operation
        self.requests = directory / "requests"
        command = [str(programs / "cratedb-cloud-simulator"), "serve", "--operation-time", f"{int(operation * 1000)}ms",
                   "--cluster", f"name=ci,state=suspended,username=rounds,password={SECRET}",
                   "--requests", str(self.requests), "--api-secret", SECRET, "--api-key", "rounds"]
        command += ["--engine", engine] if engine else []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.url = self.process.stdout.readline().split()[-1]
        self.sql = self.process.stdout.readline().split()[-1]
        self.authorization = "Basic " + base64.b64encode(f"rounds:{SECRET}".encode()).decode()

    def state(self):
        """Returns whether the cluster runs, and whether it is being suspended."""
        _, clusters = ask(self.url, "GET", "/_simulator/clusters/")
        cluster = clusters[0]
        last = cluster.get("operation") or {}
        ends = str(last.get("status", "")).upper() in ("SUCCEEDED", "FAILED")
        kind = str(last.get("type", last.get("kind", ""))).upper()
        return cluster["running"], kind == "SUSPEND" and not ends

    def row(self):
        """Returns the row as (state, owner, leases, version, the server's time, ours); none if it can't be had."""
        status, answer = ask(self.sql, "POST", "/_sql", {"stmt": ROW}, self.authorization)
        return answer["rows"][0] if status == 200 and answer["rows"] else None

    def accepted(self, since, suspended):
        """Returns the times of the accepted requests to suspend (or resume) since a time."""
        times = []
        for one in map(json.loads, (line for line in self.requests.read_text().splitlines() if "/suspend" in line)):
            wanted = one["method"] == "PUT" and (one["body"] or {}).get("suspended") is suspended
            if wanted and 200 <= one["status"] < 300 and one["at_ms"] / 1000 >= since:
                times.append(one["at_ms"] / 1000)
        return sorted(times)

    def fault(self, fault):
        ask(self.url, "POST", "/_simulator/faults/", fault)

    def command(self, directory, *arguments):
        """Starts a command of `cargo cratedb` on a machine with this directory."""
        with open(directory / "commands", "a") as log:
            return subprocess.Popen([str(self.programs / "cargo-cratedb"), "cratedb", *arguments], cwd=directory,
                                    env=environment(self, directory, "sweeper"), stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Machine:
    """One machine: its plan, its processes, and what became of it."""

    def __init__(self, name, directory, start, kill):
        self.name, self.directory = name, directory / name
        self.start, self.kill = start, kill
        self.process = self.started = self.died = self.ended = self.finished = None
        self.joined_closing = False

    def run(self, cloud, project, turns, isolated):
        self.directory.mkdir()
        variables = environment(cloud, self.directory, self.name)
        variables["TURNS"] = str(turns)
        init = ["sh", "-c", INIT, self.name, str(self.directory), "cargo", "test", "--offline", "-q", "--no-fail-fast"]
        self.process = subprocess.Popen([*(UNSHARE if isolated else ()), *init], cwd=project, env=variables,
                                        start_new_session=True)
        self.started = time.time()

    def processes(self):
        """Returns the ids of the machine's processes but those that keep it up."""
        mark, found = f"TMPDIR={self.directory}".encode(), []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                variables = pathlib.Path("/proc", entry, "environ").read_bytes().split(b"\0")
                command = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0")[0]
            except OSError:
                continue
            if mark in variables and command not in (b"unshare", b"sh", b"sleep"):
                found.append(int(entry))
        return found

    def die(self):
        """Ends every process at once. Returns when none is left."""
        self.died = time.time()
        self.end()

    def end(self):
        self.process.kill()
        self.process.wait()
        while True:
            left = self.processes()
            if not left:
                return
            for process in left:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)

    def look(self):
        """Notices the end of the tests, and the end of the keeper after that."""
        if not self.ended and (self.directory / "exit").exists():
            self.ended = time.time()
        if self.ended and not self.finished and not self.processes():
            self.finished = time.time()
            self.end()

    @property
    def over(self):
        return self.died or self.finished

    @property
    def code(self):
        return (self.directory / "exit").read_text().strip()


def build(target):
    """Builds the programs and the machines' project. Returns their directories."""
    variables = dict(os.environ, CARGO_TARGET_DIR=str(target), CARGO_INCREMENTAL="0")
    subprocess.run(["cargo", "build", "-q", "-p", "cargo-cratedb", "-p", "cratedb-cloud-simulator"], cwd=ROOT,
                   env=variables, check=True)
    builds, project = target / "consumers", target / "consumers/src/machines"
    shutil.copytree(PROJECT, project, dirs_exist_ok=True)
    manifest = project / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace("../../..", str(ROOT)))
    shutil.copy(ROOT / "Cargo.lock", project)
    variables.update(CARGO_TARGET_DIR=str(builds), CARGO_PROFILE_DEV_DEBUG="0")
    subprocess.run(["cargo", "test", "-q", "--no-run"], cwd=project, env=variables, check=True)
    return target / "debug", builds, project
