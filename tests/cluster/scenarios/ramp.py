"""The main job: capacity is there before the load is."""
import time

from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, until
from harness.world import CAPACITY, seconds


@scenario(minute="06:42", about_seconds=210)
def act_raises_before_the_ramp(world):
    """The floor rises and pods are Ready before the load is there, by the API's own timestamps; HPA reacts above the floor."""
    ramp = world.trace.jump(up=True)
    need = max(world.trace.recorded(ramp + 10 * i) for i in range(4)) / CAPACITY
    world.web()
    world.forescale()
    check(time.time() < ramp - 20, "the machine is too slow: the ramp is over before the program runs")
    floor = until(ramp - time.time(), "the floor rises before the ramp", lambda: (world.floor() or 0) >= 0.9 * need and world.floor())
    entry = world.managers(HPA)["forescale", "Update", ""]
    check(seconds(entry["time"]) < ramp, f"the API dates our write {entry['time']}, after the ramp")
    check("f:minReplicas" in str(entry), f"our entry owns {entry['fieldsV1']}")
    until(15, "an event says that the floor was raised", lambda: world.events("raised"))
    until(60, "the ramp's pods are Ready", lambda: world.replicas()[1] >= floor)
    until(ramp + 40 - time.time(), "the load has come", lambda: world.trace.at(time.time()) >= 0.98 * need * CAPACITY)
    pods = world.kube.list("Pod", world.ns)
    ready = sorted(seconds(c["lastTransitionTime"]) for p in pods for c in p["status"].get("conditions", [])
                   if c["type"] == "Ready" and c["status"] == "True")
    in_time = sum(t <= ramp for t in ready)
    check(in_time >= 0.9 * need, f"{in_time} pods were Ready at the ramp, {need:.1f} are needed; Ready after the ramp's start: {[t - ramp for t in ready]}")
    window = [(t, r) for t, _, _, r in world.timeline if ramp <= t <= time.time()]
    offered = sum(world.trace.recorded(t) for t, _ in window)
    unserved = sum(max(0.0, world.trace.recorded(t) - r * CAPACITY) for t, r in window)
    check(unserved <= 0.02 * offered, f"{100 * unserved / offered:.2f} % of the ramp's load found no replica")

    surprise = 1.6 * world.trace.at(time.time())
    world.trace.now = lambda t: surprise
    wanted = 0.88 * surprise / CAPACITY  # HPA tolerates 10 %
    until(90, f"HPA scales above the floor to {wanted:.0f} for a surprise", lambda: world.replicas()[0] >= wanted)
    until(60, "the surprise's pods are Ready", lambda: world.replicas()[1] >= wanted)
