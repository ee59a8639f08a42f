"""Limits of the cluster, and of what a user wants."""
import json
import time

from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until


@scenario(minute="06:42", about_seconds=110)
def a_quota_stops_the_pods(world):
    """A ResourceQuota stops the pods: raising stops, the event says why; with room again it goes on."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": world.ns}, "spec": {"hard": {"pods": "15"}}}
    world.kube.create(quota)
    world.web(replicas=13)
    world.forescale()
    until(120, "what will not fit is said", lambda: world.events("Infeasible", "ResourceQuota q (pods)"))
    until(120, "an event says that the quota stops the pods", lambda: world.events("exceeded quota"))
    floor = world.floor()
    load = world.trace.at(time.time())
    world.trace.now = lambda t: max(load, 1.5 * world.trace.recorded(t))
    hold(30, "raising has stopped", lambda: world.floor() <= floor)
    world.kube.merge("ResourceQuota", world.ns, "q", {"spec": {"hard": {"pods": "60"}}})
    until(120, "with room again the floor rises", lambda: world.floor() > floor and world.replicas()[1] > 15)


@scenario(minute="07:04", about_seconds=70)
def a_user_edits_the_floor(world):
    """A user's own minReplicas wins and is remembered; the old value put back three times makes us stop, and say so."""
    world.trace.now = lambda t: 8_000
    world.web()
    world.forescale()
    ours = until(120, "the floor rises", lambda: (world.floor() or 0) >= 16 and world.floor())
    for time_back in range(3):
        world.kube.merge(HPA, world.ns, "web", {"spec": {"minReplicas": 2}})
        if time_back < 2:
            until(60, "the floor is written again", lambda: world.floor() >= 16)
    until(60, "an event says that we stopped", lambda: world.events("contested") or world.events("three times"))
    hold(10, "the user's value stands", lambda: world.floor() == 2)
    ledger = lambda: json.loads(world.kube.get(HPA, world.ns, "web")["metadata"]["annotations"]["forescale.dev/ledger"])
    world.kube.merge(HPA, world.ns, "web", {"spec": {"minReplicas": 5}})
    until(60, "the user's new value is remembered", lambda: ledger()["original"] == 5)
    hold(10, "the user's new value stands", lambda: world.floor() == 5)
    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": None})
    until(60, "opted out, nothing of ours is left", lambda: not any("forescale" in m for m, _, _ in world.managers(HPA)))
    check(world.floor() == 5, f"the user's 5 became {world.floor()}; ours was {ours}")
