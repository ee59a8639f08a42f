"""The other things a floor can be written to, and the other load it can be read from."""
import time

from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, until
from harness.world import CAPACITY

QUERY = 'sum(rps{{namespace="{0}",workload="web"}})'


@scenario(minute="06:42", about_seconds=30)
def a_stateful_set_without_autoscaler(world):
    """A StatefulSet with nothing above it: its replicas are raised before the ramp, in one write with the ledger."""
    ramp = world.trace.jump(up=True)
    need = max(world.trace.recorded(ramp + 10 * i) for i in range(4)) / CAPACITY
    world.deployment(14, {"forescale.dev/mode": "act", "forescale.dev/load-query": QUERY.format(world.ns),
                          "forescale.dev/capacity-per-replica": str(CAPACITY), "forescale.dev/max-replicas": "40"}, kind="StatefulSet")
    world.forescale()
    check(time.time() < ramp - 20, "the machine is too slow: the ramp is over before the program runs")
    until(ramp - time.time(), "replicas rise before the ramp", lambda: world.replicas(kind="StatefulSet")[0] >= 0.9 * need)
    managers = world.managers("StatefulSet")
    ours = managers.get(("forescale", "Update", ""), {}).get("fieldsV1", {})
    check("f:replicas" in ours.get("f:spec", {}), f"spec.replicas is not ours: {managers}")
    check(("forescale", "Update", "scale") not in managers, f"spec.replicas is written by itself: {list(managers)}")


@scenario(minute="06:42", about_seconds=20)
def a_scaled_object(world):
    """A KEDA ScaledObject brings its query and threshold; its minReplicaCount is raised, and given back on opt-out."""
    world.deployment(14, {"forescale.dev/mode": "act"})
    world.kube.apply({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web", "namespace": world.ns},
        "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 3, "maxReplicaCount": 40, "triggers": [
            {"type": "prometheus", "metadata": {"serverAddress": world.proxy.url, "query": QUERY.format(world.ns), "threshold": str(CAPACITY)}}]}})
    world.forescale()
    floor = lambda: world.kube.get("ScaledObject", world.ns, "web")["spec"]["minReplicaCount"]
    until(120, "minReplicaCount rises", lambda: floor() > 14)
    until(60, "replicas follow at once", lambda: world.replicas()[0] >= floor())
    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": None})
    until(60, "opted out, 3 is back", lambda: floor() == 3)
    until(30, "nothing of ours is left", lambda: not any("forescale" in m for m, _, s in world.managers("ScaledObject")))


@scenario(minute="06:42", about_seconds=40, cpu=True)
def an_hpa_on_cpu(world):
    """An HPA on CPU utilization: total cores are the load, a share of the requests the capacity; `web-api` isn't counted."""
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    world.adapter = lambda t: {"cpu": {f"{world.ns}/web": world.trace.at(t) / 1000}}
    world.deployment(14, {"forescale.dev/mode": "act"}, cpu="1")
    world.hpa(metric=metric)
    world.until_ready(14)
    query = world.bed.cpu_query().replace("[2m]", "[30s]")  # the squeezed clock's two minutes
    world.forescale(queries__cpu=query)
    floor = until(120, "the floor rises", lambda: (world.floor() or 0) > 16 and world.floor())
    check(floor <= 34, f"the floor is {floor}: the CPU of web-api was counted")
    check("forescale" in {m for m, _, _ in world.managers(HPA)}, "the floor is not ours")
    until(60, "replicas follow", lambda: world.replicas()[0] >= floor)
