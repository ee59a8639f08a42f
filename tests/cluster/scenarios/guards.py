"""Disruption guards on Karpenter's own NodePools: they hold, they lapse, and the user's budgets stay the user's."""
import json
import re
import time

from harness.scenario import scenario
from harness.wait import check, hold, until
from harness.world import CAPACITY

USERS = [{"nodes": "100%"}, {"nodes": "50%", "reasons": ["Drifted"]}]
LEDGER = "forescale.dev/guards"
GONE = 60  # seconds in which Karpenter takes an empty node away: 5 s, a poll of 10 s, 15 s of validation, the drain
SETTINGS = {"guards__mode": "act", "guards__before": "30m"}  # the ramp is a quarter of an hour ahead: guarded from now on


def guards(world):
    """Our entries, told by what they look like: everybody's else are not dated."""
    return [b for b in world.budgets() or [] if re.fullmatch(r"\d+ \d+ \d+ \d+ \*", b.get("schedule", ""))]


def users(world):
    return [b for b in world.budgets() or [] if b not in guards(world)]


def set_budgets(world, budgets):
    world.kube.merge("NodePool", None, world.ns, {"spec": {"disruption": {"budgets": budgets}}})


def said(world, *words):
    """Events about the NodePool, ours or Karpenter's; they are in the namespace default."""
    return [e for e in world.kube.list("Event", "default") if e["involvedObject"].get("name") == world.ns
            and all(w.lower() in f"{e.get('reason')} {e.get('message')}".lower() for w in words)]


def member(world, budgets=None):
    world.node_pool(boot=3, budgets=budgets or USERS)
    world.deployment(12, {"forescale.dev/mode": "act"}, cpu="950m", pod=world.on_pool())
    world.hpa()


def guarded(world):
    return until(150, "a guard stands", lambda: guards(world))


@scenario(minute="05:15", about_seconds=280, needs="karpenter")
def a_guard_holds_the_nodes(world):
    """A guard before a ramp keeps Karpenter from empty nodes; kill -9 of ours changes nothing, a user's edit is kept, and it lapses."""
    member(world)
    world.deployment(8, name="burst", cpu="950m", pod=world.on_pool())
    until(90, "two nodes more", lambda: world.replicas("burst")[1] == 8)
    copy = world.forescale(**SETTINGS)
    entry, = guarded(world)
    check(entry["nodes"] == "0" and set(entry["reasons"]) == {"Empty", "Underutilized"}, f"{entry}")
    check(world.budgets() == [*USERS, entry], f"the user's entries changed: {world.budgets()}")
    check(LEDGER in world.pool()["metadata"]["annotations"], "no ledger")
    nodes = {c["metadata"]["name"] for c in world.claims()}
    there = lambda: nodes <= {c["metadata"]["name"] for c in world.claims() if not c["metadata"].get("deletionTimestamp")}
    world.kube.merge("Deployment", world.ns, "burst", {"spec": {"replicas": 0}}, sub="scale")
    until(30, "the pods are gone", lambda: not world.pods_of("burst"))
    hold(GONE, "no node is taken away", there)
    check(said(world, "DisruptionBlocked"), "Karpenter doesn't say that it is blocked")

    copy.kill()
    edited = [{"nodes": "30%", "reasons": ["Drifted"]}, *world.budgets()]
    set_budgets(world, edited)
    hold(20, "killed: the guard stands, no node is taken away", there)
    copy = world.forescale(**SETTINGS)
    until(60, "the new copy tends the workload", lambda: copy.workload(world.ns))
    hold(20, "the user's edit stands, the guard is not doubled", lambda: world.budgets() == edited)
    copy.kill()

    # it lasts for at least half an hour: its end is moved near, in the words that were written
    now = int(time.time()) // 60 * 60
    begin, end = time.gmtime(now - 60), now + 120
    schedule = f"{begin.tm_min} {begin.tm_hour} {begin.tm_mday} {begin.tm_mon} *"
    set_budgets(world, [{**b, "schedule": schedule, "duration": "3m"} if b == entry else b for b in edited])
    hold(end - time.time() - 1, "up to its last second no node is taken away", there)
    until(GONE + 30, "without any copy of ours it lapses, and the nodes go", lambda: not there(), every=0.5)
    return f"nodes gone {time.time() - end:.0f} s after its end"


@scenario(minute="05:15", about_seconds=90, needs="karpenter")
def budgets_stay_the_users(world):
    """A bad cron and 50 entries of the user's are said and left as they are; a NodePool that goes and comes is guarded anew."""
    bad = [{"nodes": "20%"}, {"nodes": "0", "schedule": "0 19-7 * * *", "duration": "8h"}]
    member(world, budgets=bad)
    copy = world.forescale(**SETTINGS)
    until(150, "an event says that no guard is written", lambda: said(world, "GuardRefused"))
    hold(15, "the list with the bad cron is as it was", lambda: world.budgets() == bad)
    good = [{"nodes": "20%"}]
    set_budgets(world, good)
    guarded(world)
    check(users(world) == good, f"{world.budgets()}")

    full = [{"nodes": f"{n}%", "reasons": ["Drifted"]} for n in range(50, 100)]
    set_budgets(world, full)
    until(60, "an event says that the list is full", lambda: said(world, "GuardRefused", "50"))
    hold(15, "fifty entries are as they were", lambda: world.budgets() == full)
    set_budgets(world, full[1:])
    guarded(world)
    check(users(world) == full[1:] and len(world.budgets()) == 50, f"{len(world.budgets())} entries")

    world.kube.delete("NodePool", None, world.ns)
    until(120, "the NodePool is gone", lambda: not world.kube.list("NodePool", None))
    hold(15, "ours goes on", lambda: copy.alive() and copy.workload(world.ns) is not None)
    world.kube.create(world.node_pool_object(USERS))
    guarded(world)
    copy.stop()
    done = copy.command("release", "--all")
    check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
    check(world.budgets() == USERS, f"released: {world.budgets()}")
    annotations = world.pool()["metadata"].get("annotations") or {}
    check(LEDGER not in annotations, f"released, the ledger is there: {json.dumps(annotations)}")
    check(not any("forescale" in f["manager"] for f in world.pool()["metadata"]["managedFields"]), "managedFields still names us")


@scenario(minute="05:15", about_seconds=30)
def guards_without_karpenter(world):
    """Without Karpenter and its resources, guards have nothing to do, and nothing else is worse for it."""
    world.trace.now = lambda t: 10 * CAPACITY - 1
    world.web()
    copy = world.forescale(**SETTINGS)
    until(90, "the workload is tended", lambda: (copy.workload(world.ns) or {}).get("floor"))
    check("nodepools" not in copy.tail(200), f"it complains: {copy.tail(200)}")
