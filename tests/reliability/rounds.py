#!/usr/bin/env python3
"""Runs random rounds of machines that share one Cloud cluster, and judges them by the simulator's record.

A round starts two to five machines on a suspended cluster. A machine is a run of `tests/consumers/machines` by cargo
with directories, a host name and, where `unshare` works, a process table of its own; it dies as a whole. Machines start
within a few seconds, or when the cluster is being closed or suspended, or when a lease of a dead machine is about to
expire. In some rounds requests fail, and `cargo cratedb sweep --account` runs all the time.

What must hold:

- From a suspend request that the service accepts until the cluster is suspended, no test of a living machine runs, and
  the row names no live lease of another living machine.
- No test of a machine that lives to its end fails.
- No other test runs beside an exclusive one.
- The last machine that lives to its end suspends the cluster: 90 s after the last death at the latest, and the time
  that an operation takes. If all are dead, `cargo cratedb sweep --account` suspends it after the same time. A cluster
  whose machine died between its resume request and its lease is counted apart (`rounds_left_to_journal`): nobody else
  can tell it from a cluster that a person started, so it takes a run or a sweep on that machine.

Linux only. Example: `tests/reliability/rounds.py --rounds 20 --seed 7`.
"""

import argparse
import collections
import json
import pathlib
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from machines import ROOT, UNSHARE, Cloud, Machine, build

LEASE_DEAD = 90.0
SLACK = 12.0
ROUND_LIMIT = 420.0
OPERATION_TIMES = (0.3, 2.0, 5.0)


class Round:
    """One round: what happened in it, and what was wrong."""

    def __init__(self, number, seed, cloud, place, project, isolated):
        self.chance = random.Random(f"{seed}-{number}")
        self.number, self.cloud, self.project, self.isolated = number, cloud, project, isolated
        self.directory = place / f"r{number}"
        self.directory.mkdir()
        self.turns = self.directory / "turns"
        self.rows, self.states, self.failures = [], [], []
        self.sweeps = self.left_to_sweep = self.left_to_journal = 0
        self.machines = [self.plan(at) for at in range(self.chance.randint(2, 5))]
        self.sweeping = self.chance.random() < 0.25
        self.sweep = None

    def plan(self, at):
        """Draws when a machine starts and when it dies: `start` is a trigger and seconds after it."""
        chance = self.chance
        draw = chance.random()
        start = ("begin", chance.uniform(0, 4))
        if at and draw < 0.2:
            start = ("closing", chance.uniform(0, 0.6))
        elif at and draw < 0.4:
            start = ("suspending", chance.uniform(0, self.cloud.operation + 0.5))
        elif at and draw < 0.5:
            start = ("death", chance.uniform(80, 100))
        elif at and draw < 0.65:
            start = ("begin", chance.uniform(4, 15))
        kill = chance.uniform(0.3, 6 + 2 * self.cloud.operation) if chance.random() < 0.5 else None
        return Machine(f"m{self.number}x{at}", self.directory, start, kill)

    def faults(self):
        if self.chance.random() < 0.35:
            fault = {"method": "PUT", "path": "/suspend/", "after": self.chance.choice([0, 1, 1, 1, 2])}
            fault.update(self.chance.choice([{"status": 502}, {"drop": True}, {"delay": "7s"}, {"conflict": True}]))
            self.cloud.fault(fault)

    def due(self, machine, begin, suspending):
        """Returns whether a machine starts now. What it waits for may not happen: then it starts when all is over."""
        trigger, after = machine.start
        there = [other for other in self.machines if other.started]
        quiet = there and all(other.over or other.ended for other in there)
        times = {
            "begin": begin,
            "closing": self.first.get("closing"),
            "suspending": self.first.get("suspending"),
            "death": min((other.died for other in there if other.died), default=None),
        }
        if quiet and times[trigger] is None:
            times[trigger] = self.first.setdefault("quiet", time.time())
        return times[trigger] is not None and time.time() >= times[trigger] + after

    def observe(self):
        """Looks at the cluster and its row."""
        running, suspending = self.cloud.state()
        now = time.time()
        if not self.states or self.states[-1][1:] != (running, suspending):
            self.states.append((now, running, suspending))
        if suspending:
            self.first.setdefault("suspending", now)
        row = self.cloud.row() if running else None
        if row:
            if not self.rows or self.rows[-1][1][3] != row[3]:
                self.rows.append((now, row))
            if row[0] == "closing":
                self.first.setdefault("closing", now)
        return running, suspending, bool(row and row[0] == "closing")

    def play(self):
        begin, self.first = time.time(), {}
        self.begin = begin
        self.faults()
        next_sweep = begin + self.chance.uniform(0, 5)
        while time.time() < begin + ROUND_LIMIT:
            running, suspending, closing = self.observe()
            for machine in self.machines:
                if not machine.started and self.due(machine, begin, suspending):
                    machine.joined_closing = suspending or closing
                    machine.run(self.cloud, self.project, self.turns, self.isolated)
                elif machine.started and not machine.over:
                    if machine.kill and time.time() >= machine.started + machine.kill:
                        machine.die()
                    else:
                        machine.look()
            if self.sweep and self.sweep.poll() is not None:
                self.sweep, next_sweep = None, time.time() + self.chance.uniform(0.2, 5)
            if self.sweeping and not self.sweep and time.time() >= next_sweep:
                self.start_sweep()
            if all(machine.over for machine in self.machines):
                break
            time.sleep(0.08)
        else:
            self.fail("the machines did not end", [m.name for m in self.machines if not m.over])
            for machine in self.machines:
                if machine.started and not machine.over:
                    machine.die()
        self.close()
        self.judge()

    def start_sweep(self):
        self.sweeps += 1
        self.sweep = self.cloud.command(self.directory, "sweep", "--account", "--output", "json")

    def close(self):
        """Waits until the cluster is suspended, with the help of a sweep if no machine is left to do it."""
        deaths = [machine.died for machine in self.machines if machine.died]
        ends = [machine.finished for machine in self.machines if machine.finished]
        last = max(deaths, default=0)
        limit = last + LEASE_DEAD + SLACK + 2 * self.cloud.operation
        if self.observe()[0]:
            # A keeper may leave the cluster to others that live. Only a later death leaves it to the sweep.
            if max(ends, default=0) > last + 5 and not self.is_orphan():
                self.fail("the last machine that lived to its end left the cluster running", self.states[-3:])
            self.left_to_sweep = 1
        while self.observe()[0] and time.time() < limit:
            if not self.sweep or self.sweep.poll() is not None:
                self.start_sweep()
            time.sleep(1)
        if self.observe()[0]:
            self.left_to_journal = 1
            if not self.is_orphan():
                self.fail("a sweep left the cluster running", self.rows[-1:])
            for machine in self.machines:
                self.cloud.command(machine.directory, "sweep").wait()
            if self.observe()[0]:
                self.fail("sweeps of the dead machines left the cluster running", self.rows[-1:])
                self.cloud.command(self.directory, "stop", "--cluster-name", "ci", "--force").wait()
        if self.sweep:
            self.sweep.wait()
        self.observe()
        ends = [machine.ended for machine in self.machines if machine.finished]
        latest = max([last + LEASE_DEAD] + ends) + SLACK + 2 * self.cloud.operation
        if not self.left_to_journal and self.states[-1][0] > latest:
            self.fail("it was suspended too late", (self.states[-1][0] - latest,))

    def is_orphan(self):
        """Returns whether the machine that resumed the cluster died before its lease said so.

        Then the others take the cluster for one that a person started, and only that machine's journal knows better.
        """
        resumed = max(self.cloud.accepted(self.begin, False), default=0)
        # Until the first join, the row still says "closing", as the last life of the cluster ended.
        joined = [row for when, row in self.rows if when > resumed and row[0] == "open"]
        killed = any(machine.died and machine.died > resumed for machine in self.machines)
        return killed and not any(row[5] for row in joined)

    def judge(self):
        """Compares what was seen with what must hold."""
        lives = {machine.name: (machine.started or 0, machine.died or float("inf")) for machine in self.machines}
        tests = self.tests(lives)
        for at in self.cloud.accepted(self.begin, True):
            until = min((when for when, running, _ in self.states if when > at and not running), default=time.time())
            for machine, _, test, begin, end in tests:
                if begin < until and end > at:
                    self.fail("suspended while a test of a living machine ran", (at, until, machine, test, begin, end))
            for when, (state, owner, leases, _, now, _) in self.rows:
                for lease in leases or [] if at <= when <= until else []:
                    name = lease["host" if self.isolated else "user"]
                    alive = now - lease["renewed"] <= LEASE_DEAD * 1000 and lives.get(name, (0, 0))[1] > until
                    if alive and lease["id"] != owner:
                        self.fail("suspended under a live lease", (at, until, when, state, owner, lease))
        for machine in self.machines:
            if machine.finished and machine.code != "0":
                self.fail("tests of a machine failed that lived to its end", (machine.name, machine.code))
        for at, (machine, mode, test, begin, end) in enumerate(tests):
            for other in tests[at + 1:]:
                if "exclusive" in (mode, other[1]) and begin < other[4] and other[3] < end:
                    self.fail("a test ran beside an exclusive one", (tests[at], other))
        self.resumes, self.suspends = (len(self.cloud.accepted(self.begin, what)) for what in (False, True))

    def tests(self, lives):
        """Returns the tests that ran, as (machine, mode, test, begin, end). Those of a machine end with it."""
        found, open_tests = [], {}
        for line in self.turns.read_text().splitlines() if self.turns.exists() else []:
            at, machine, what, mode, test = line.split(" ")
            if what == "begin":
                open_tests[machine, test] = (int(at) / 1000, mode)
            else:
                begin, mode = open_tests.pop((machine, test))
                found.append((machine, mode, test, begin, min(int(at) / 1000, lives[machine][1])))
        found += [(machine, mode, test, begin, lives[machine][1])
                  for (machine, test), (begin, mode) in open_tests.items()]
        return [one for one in found if one[3] < one[4]]

    def fail(self, what, evidence):
        self.failures.append({"round": self.number, "what": what, "evidence": repr(evidence)})


def lane(number, options, programs, builds, project, rounds, done, place):
    """Plays rounds, one after another, on a cluster of its own."""
    directory = place / f"lane{number}"
    directory.mkdir()
    operation = OPERATION_TIMES[number % len(OPERATION_TIMES)]
    cloud = Cloud(programs, builds, directory, operation, options.engine)
    try:
        while True:
            one = Round(rounds.get_nowait(), options.seed, cloud, directory, project, options.isolated)
            try:
                one.play()
            except Exception as error:  # A fault of this program must not pass for a success.
                one.fail("the round broke off", (type(error).__name__, error, error.__traceback__.tb_lineno))
            done.put(one)
            if any("broke off" in failure["what"] for failure in one.failures):
                return
    except queue.Empty:
        return
    finally:
        cloud.stop()


def summary(options, rounds, seconds):
    """Returns the counts of all rounds."""
    machines = [machine for one in rounds for machine in one.machines if machine.started]
    of = collections.Counter(resumes=0, suspends=0)
    for one in rounds:
        of.update(resumes=getattr(one, "resumes", 0), suspends=getattr(one, "suspends", 0), sweeps=one.sweeps,
                  rounds_left_to_sweep=one.left_to_sweep, rounds_left_to_journal=one.left_to_journal)
    return {
        "seed": options.seed, "rounds": len(rounds), "engine": options.engine or "embedded",
        "isolated": options.isolated, "seconds": round(seconds), "machines": len(machines),
        "killed": sum(1 for machine in machines if machine.died),
        "all_dead": sum(1 for one in rounds if all(machine.died for machine in one.machines)),
        "joins_during_closing": sum(machine.joined_closing for machine in machines), **of,
        "failures": [failure for one in rounds for failure in one.failures],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the number of the first round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=4, help="rounds at the same time, each on its own cluster")
    parser.add_argument("--engine", help="the simulator's --engine, of which an address takes `--lanes 1`; the embedded "
                        "one if not given")
    parser.add_argument("--json", type=pathlib.Path, help="writes the counts to this file")
    parser.add_argument("--target-dir", type=pathlib.Path, default=ROOT / "target")
    parser.add_argument("--keep", action="store_true", help="keeps the files of all machines, not only after failures")
    options = parser.parse_args()
    if options.lanes > 1 and "://" in (options.engine or ""):
        parser.error("argument --engine: the clusters of several lanes would have one row of leases; give `--lanes 1`, "
                     "or the directory of an installation, of which each lane starts a server")
    options.isolated = subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    programs, builds, project = build(options.target_dir.resolve())
    # Short, for the sockets' paths.
    place = pathlib.Path(tempfile.mkdtemp(prefix="ctr", dir="/tmp"))
    rounds, done, begin = queue.Queue(), queue.Queue(), time.time()
    for number in range(options.first, options.first + options.rounds):
        rounds.put(number)
    lanes = [threading.Thread(target=lane, args=(number, options, programs, builds, project, rounds, done, place))
             for number in range(min(options.lanes, options.rounds))]
    for one in lanes:
        one.start()
    played = []
    while any(one.is_alive() for one in lanes) or not done.empty():
        try:
            played.append(done.get(timeout=1))
        except queue.Empty:
            continue
        one = played[-1]
        killed = sum(1 for machine in one.machines if machine.died)
        print(f"round {one.number}: {len(one.machines)} machines, {killed} killed, {time.time() - one.begin:.0f} s",
              *[f"\n  {failure['what']}: {failure['evidence']}" for failure in one.failures], flush=True)
    counts = summary(options, played, time.time() - begin)
    print(json.dumps(counts, indent=2))
    if options.json:
        options.json.write_text(json.dumps(counts, indent=2) + "\n")
    if counts["failures"] or options.keep or len(played) < options.rounds:
        print(f"the files of all machines are in {place}", file=sys.stderr)
    else:
        shutil.rmtree(place)
    return 0 if not counts["failures"] and len(played) == options.rounds else 1


if __name__ == "__main__":
    sys.exit(main())
