"""The warm pool on nodes that Karpenter buys: placeholders, CapacityBuffers, and what stands in their way."""
import time

from harness.bed import NAMESPACE
from harness.kube import ApiError
from harness.scenario import scenario
from harness.nodes import seconds
from harness.wait import check, until
from harness.world import CAPACITY

BOOT = 10
CPU = "950m"  # four pods fill a node of 4 cpu
LABEL = "forescale.dev/pool=main"
ALWAYS = "0 0 * * * 24h UTC min={0} max={0}"  # a window that never ends


def member(world, replicas):
    """The workload that the pool is for, on this world's NodePool; only observed, so that its floor buys no nodes meanwhile."""
    load = replicas * CAPACITY - 1
    world.trace.now = lambda t: load
    world.deployment(replicas, {"forescale.dev/mode": "observe", "forescale.dev/pool": "main"}, cpu=CPU, pod=world.on_pool())
    world.hpa()


def pool(world, backend, **settings):
    return {"pools__main__node_pool": world.ns, "pools__main__lead_time": f"{BOOT + 5}s", "pools__main__backend": backend,
            **{f"pools__main__{k}": v for k, v in settings.items()}}


def placeholders(world, ready=True):
    pods = world.kube.list("Pod", NAMESPACE, labelSelector=LABEL)
    return [p for p in pods if not ready or any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))]


def buffers(world):
    try:
        return world.kube.list("CapacityBuffer", NAMESPACE, labelSelector=LABEL)
    except ApiError as e:
        if e.code == 404:
            return []
        raise


def told(copy):
    """What /statez says of the pool."""
    return next((p for p in copy.state().get("pools", []) if p["name"] == "main"), {})


def burst(world, count):
    """A user's own pods of the same shape, all at once; returns the seconds until each is bound."""
    world.deployment(0, name="burst", cpu=CPU, pod=world.on_pool(), start_seconds=(1, 1))
    t0 = time.time()
    world.kube.merge("Deployment", world.ns, "burst", {"spec": {"replicas": count}}, sub="scale")
    bound = {}

    def all_bound():
        for p in world.pods_of("burst"):
            if p["spec"].get("nodeName"):
                bound.setdefault(p["metadata"]["name"], time.time() - t0)
        return len(bound) == count
    until(60, f"{count} pods are bound", all_bound, every=0.05)
    return sorted(bound.values())


@scenario(minute="06:30", about_seconds=100, needs="karpenter")
def placeholders_give_way(world):
    """A pod without room takes a placeholder's: bound in seconds, no node waited for; the placeholder then gets a new node."""
    world.node_pool(boot=BOOT)
    member(world, 8)
    until(90, "the workload runs", lambda: world.replicas()[1] >= 6)
    copy = world.forescale(**pool(world, "placeholders", windows=ALWAYS.format(4)))
    until(120, "four placeholders are Ready", lambda: len(placeholders(world)) == 4)
    for p in placeholders(world):
        spec = p["spec"]
        check(spec["priority"] == -10 and spec["preemptionPolicy"] == "Never", f"priority {spec['priority']}, {spec['preemptionPolicy']}")
        check(spec["terminationGracePeriodSeconds"] == 1, f"grace {spec['terminationGracePeriodSeconds']}")
        cpu = spec["containers"][0]["resources"]["requests"]["cpu"]
        check(950 <= int(cpu.removesuffix("m")) <= 952, f"{cpu}: not the room of one pod of {CPU}")
        check("app" not in p["metadata"]["labels"], f"a placeholder wears the workload's labels: {p['metadata']['labels']}")
    until(60, "statez says that they stand", lambda: told(copy).get("ready") == 4)
    before = len(world.claims())
    took = burst(world, 4)
    check(took[-1] < BOOT, f"bound after {took} s: they waited for a node")
    until(90, "the placeholders are back, on a node that was bought for them", lambda: len(placeholders(world)) == 4)
    check(len(world.claims()) <= before + 2, f"{len(world.claims())} nodes, {before} before")
    copy.stop()
    done = copy.command("release", "--all")
    check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
    until(60, "released, no placeholder is left", lambda: not placeholders(world, ready=False))
    return f"bound after {took[0]:.1f} to {took[-1]:.1f} s"


@scenario(minute="06:30", about_seconds=120, needs="karpenter")
def a_buffer_is_headroom(world):
    """A CapacityBuffer makes headroom: real pods are bound at once, it is refilled, and given back in Karpenter's order."""
    world.node_pool(boot=BOOT)
    member(world, 8)
    until(90, "the workload runs", lambda: world.replicas()[1] >= 6)
    before = len(world.claims())
    copy = world.forescale(**pool(world, "auto", windows=ALWAYS.format(4)))
    until(120, "a buffer of four", lambda: sum(b["spec"].get("replicas", 0) for b in buffers(world)) == 4)
    check(not placeholders(world, ready=False), "placeholders beside a buffer")
    until(90, "a node is there for it", lambda: len([c for c in world.claims() if world.reached(c, "Initialized")]) > before)
    until(60, "statez counts it ready only now", lambda: told(copy).get("ready") == 4)
    stocked = len(world.claims())
    took = burst(world, 4)
    check(took[-1] < BOOT, f"bound after {took} s: they waited for a node")
    until(90, "it is refilled", lambda: len(world.claims()) > stocked)
    copy.stop()
    done = copy.command("release", "--all")
    check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
    until(60, "released, no buffer is left", lambda: not buffers(world))
    until(120, "its node goes as well", lambda: len(world.claims()) <= stocked)
    return f"bound after {took[0]:.1f} to {took[-1]:.1f} s"


@scenario(minute="06:42", about_seconds=250, needs="karpenter")
def capacity_is_not_bought_twice(world):
    """Through the ramp the pool shrinks as real replicas rise: never more nodes than pods and slots together fill, plus one."""
    ramp = world.trace.jump(up=True)
    world.node_pool(boot=BOOT, consolidate_after="30s")
    world.deployment(14, {"forescale.dev/mode": "act", "forescale.dev/pool": "main"}, cpu=CPU, pod=world.on_pool())
    world.hpa()
    copy = world.forescale(**pool(world, "auto"))
    worst = []

    def look():
        pods, slots = world.replicas()[0], int(copy.metric("forescale_pool_slots") or 0)
        nodes = len([c for c in world.claims() if not c["metadata"].get("deletionTimestamp")])
        worst.append((nodes - -(-(pods + slots) // 4), nodes, pods, slots))
        return time.time() > ramp + 60
    until(ramp + 90 - time.time(), "the ramp is over", look, every=0.5)
    peak = max(n for _, n, _, _ in worst)
    most = max(-(-(p + s) // 4) for _, _, p, s in worst)
    check(peak <= most + 1, f"{peak} nodes, though pods and slots never filled more than {most}: {sorted(set(worst))[-5:]}")
    check(any(s for _, _, _, s in worst), "the pool never had a slot")
    return f"at most {peak} nodes for what fills {most}; slots {min(s for *_, s in worst)} to {max(s for *_, s in worst)}"


@scenario(minute="06:30", about_seconds=140, needs="karpenter")
def slots_stand_before_nodes_expire(world):
    """Nodes that expire within a ramp: slots for their pods stand before the first goes, and its pods wait for no node."""
    boot, lead, age = 15, 45, 150
    world.node_pool(boot=boot)
    world.kube.merge("NodePool", None, world.ns, {"spec": {"template": {"spec": {"expireAfter": f"{age}s"}}}})
    # a ramp that lasts: 12 replicas are wanted, nobody gives them
    world.trace.now = lambda t: 12 * CAPACITY - 1
    world.deployment(8, {"forescale.dev/mode": "observe", "forescale.dev/pool": "main", "forescale.dev/max-replicas": "40",
                         "forescale.dev/load-query": f'sum(rps{{namespace="{world.ns}",workload="web"}})',
                         "forescale.dev/capacity-per-replica": str(CAPACITY)}, cpu=CPU, pod=world.on_pool())
    until(60, "the workload runs", lambda: world.replicas()[1] == 8)
    old = {c["metadata"]["name"] for c in world.claims()}
    first = min(seconds(c["metadata"]["creationTimestamp"]) for c in world.claims()) + age
    copy = world.forescale(**{**pool(world, "placeholders"), "pools__main__lead_time": f"{lead}s"})
    until(first - time.time(), "slots for all eight pods are wanted before the first node goes",
          lambda: copy.metric("forescale_pool_slots_expiring") == 8)
    until(first - time.time(), "they stand before it goes", lambda: len(placeholders(world)) >= 8)
    ahead = first - time.time()
    check(any(e["reason"] == "ExpiryAhead" for e in world.kube.list("Event", "default") if e["involvedObject"].get("name") == world.ns),
          "no event foretells it")
    until(90, "the old nodes are gone", lambda: not old & {c["metadata"]["name"] for c in world.claims()})
    until(30, "the workload runs again", lambda: world.replicas()[1] == 8 and len(world.pods_of("web", ready=True)) == 8)
    waits = [seconds(next(c["lastTransitionTime"] for c in p["status"]["conditions"] if c["type"] == "PodScheduled"))
             - seconds(p["metadata"]["creationTimestamp"]) for p in world.pods_of("web")]
    check(max(waits) < boot, f"bound after {waits} s: they waited for a node")
    return f"slots stood {ahead:.0f} s before the first node went; pods bound after {max(waits):.0f} s at most"


@scenario(minute="06:30", about_seconds=190, needs="karpenter")
def a_closed_gate_is_noticed(world):
    """CapacityBuffer's resource is there, Karpenter's gate is off: noticed, said, and placeholders stand instead."""
    world.bed.restart("karpenter", "FEATURE_GATES=CapacityBuffer=false")
    try:
        world.node_pool(boot=BOOT)
        member(world, 8)
        until(90, "the workload runs", lambda: world.replicas()[1] >= 6)
        copy = world.forescale(**pool(world, "auto", windows=ALWAYS.format(4)))
        until(240, "placeholders stand instead", lambda: len(placeholders(world)) == 4)
        until(60, "no buffer is left behind", lambda: not buffers(world))
        until(30, "statez says what stands, and why", lambda: told(copy).get("backend") == "placeholders" and told(copy)["problems"])
        return "; ".join(told(copy)["problems"])[:160]
    finally:
        world.bed.restart("karpenter")


@scenario(minute="06:30", about_seconds=170, needs="karpenter")
def a_pod_that_no_instance_type_fits(world):
    """Slots of a pod that is larger than any instance type are never ready: it is said, and nothing is bought or broken for it."""
    world.node_pool(boot=BOOT)
    world.trace.now = lambda t: CAPACITY
    world.deployment(1, {"forescale.dev/mode": "observe", "forescale.dev/pool": "main"}, cpu="100", pod=world.on_pool())
    world.hpa()
    copy = world.forescale(**pool(world, "placeholders", windows=ALWAYS.format(2)))
    until(90, "two placeholders are wanted", lambda: len(placeholders(world, ready=False)) == 2)
    until(200, "it is said", lambda: any("no slot has become ready" in p for p in told(copy).get("problems", [])))
    check(told(copy)["ready"] == 0 and not world.claims(), f"{told(copy)}, {len(world.claims())} nodes bought")
    until(30, "an event says it", lambda: any("no slot has become ready" in e["message"] for e in world.kube.list("Event", world.ns)))
    copy.stop()
    done = copy.command("release", "--all")
    check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
    until(60, "released, no placeholder is left", lambda: not placeholders(world, ready=False))


@scenario(minute="06:30", about_seconds=40)
def a_pool_within_a_quota(world):
    """A ResourceQuota where slots live bounds them: as many as it admits, and the reason says so."""
    world.kube.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "slots", "namespace": NAMESPACE},
                       "spec": {"hard": {"requests.cpu": "2"}}})
    try:
        world.trace.now = lambda t: 10 * CAPACITY - 1
        world.deployment(10, {"forescale.dev/mode": "observe", "forescale.dev/pool": "main"})
        world.hpa()
        copy = world.forescale(pools__main__lead_time="15s", pools__main__windows=ALWAYS.format(5))
        until(120, "the quota bounds the pool", lambda: told(copy).get("reason") == "quota")
        slots = told(copy)["slots"]
        until(60, "what it admits is Ready", lambda: len(placeholders(world)) == slots)
        check(0 < slots < 5, f"{told(copy)}")
        copy.stop()
        done = copy.command("release", "--all")
        check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
        return f"{slots} of 5"
    finally:
        world.kube.delete("ResourceQuota", NAMESPACE, "slots")


@scenario(minute="06:30", about_seconds=40)
def a_pool_without_karpenter(world):
    """Without Karpenter and its resources, a pool is placeholders on the nodes that are there, of the app's image with prepull; two pools that claim a workload are told."""
    world.trace.now = lambda t: 10 * CAPACITY - 1
    world.deployment(10, {"forescale.dev/mode": "observe"})
    world.kube.merge("Deployment", world.ns, "web", {"metadata": {"labels": {"team": "shop", "tier": "web"}}})
    world.hpa()
    copy = world.forescale(pools__main__lead_time="15s", pools__main__windows=ALWAYS.format(3), pools__main__prepull="true",
                           pools__main__selector="team=shop", pools__other__selector="tier=web", pools__other__lead_time="15s")
    until(120, "three placeholders are Ready", lambda: len(placeholders(world)) == 3)
    images = {c["image"] for p in placeholders(world) for c in p["spec"]["containers"]}
    check(images == {"web:1"}, f"{images}: not the image of the application")
    until(30, "statez says what stands", lambda: told(copy).get("backend") == "placeholders")
    check(any("both claim" in p for p in told(copy)["problems"]), f"it is not said that two pools claim the workload: {told(copy)}")
    others = world.kube.list("Deployment", NAMESPACE, labelSelector="forescale.dev/pool=other")
    check(not others, "the workload counts twice")
    copy.stop()
    done = copy.command("release", "--all")
    check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
    until(60, "released, no placeholder is left", lambda: not placeholders(world, ready=False))


@scenario(minute="06:30", about_seconds=40)
def a_queue_of_gangs(world):
    """A pool for a queue has no workloads: it is sized from what arrives in it, as whole gangs, each on one node, in the shape of a PodTemplate."""
    spec = {"containers": [{"name": "train", "image": "train:1", "resources": {"requests": {"cpu": "100m"}}}]}
    world.kube.create({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "worker", "namespace": world.ns},
                       "template": {"metadata": {"labels": {"app": "train"}}, "spec": spec}})
    # a gang for every 5,000 queries/s: one or two a step, so two to four within a node lead of two steps
    copy = world.forescale(pools__main__arrivals=f'floor(sum(rps{{namespace="{world.ns}"}}) / 5000)',
                           pools__main__pod_template=f"{world.ns}/worker", pools__main__lead_time="15s",
                           pools__main__gang_size="2", pools__main__gang_topology="kubernetes.io/hostname")
    until(120, "slots are ready", lambda: told(copy).get("ready", 0) >= 4 and told(copy)["ready"] == told(copy)["slots"])
    slots = told(copy)["slots"]
    check(slots % 2 == 0 and slots <= 12, f"{told(copy)}")
    gangs = {}
    for p in placeholders(world):
        gangs.setdefault(p["metadata"]["labels"]["pod-template-hash"], []).append(p)
    for pods in gangs.values():
        check(len(pods) == 2 and len({p["spec"]["nodeName"] for p in pods}) == 1, f"a gang is {len(pods)} pods on {[p['spec'].get('nodeName') for p in pods]}")
        requests = pods[0]["spec"]["containers"][0]["resources"]["requests"]
        check(requests["cpu"] == "100m", f"a slot asks for {requests}")
    world.kube.delete("PodTemplate", world.ns, "worker")
    until(40, "it is said that the template is gone", lambda: any("is not there" in p for p in told(copy).get("problems", [])))
    check(told(copy)["slots"] > 0, f"the pool went with its template: {told(copy)}")
    copy.stop()
    done = copy.command("release", "--all")
    check(done.returncode == 0, f"release: {done.stdout}{done.stderr}")
    until(60, "released, no placeholder is left", lambda: not placeholders(world, ready=False))
    return f"{slots} slots in {len(gangs)} gangs"
