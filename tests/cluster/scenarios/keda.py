"""A ScaledObject with KEDA's own operator and metrics adapter behind it."""
from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, until
from harness.world import CAPACITY


@scenario(minute="06:42", about_seconds=120, needs="keda")
def keda_carries_the_floor(world):
    """KEDA's operator carries minReplicaCount into its HPA and the replicas, reads the load itself, and takes the old value back."""
    query = f'sum(rps{{namespace="{world.ns}",workload="web"}})'
    world.deployment(14, {"forescale.dev/mode": "act"})
    world.kube.apply({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web", "namespace": world.ns},
        "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 3, "maxReplicaCount": 40, "pollingInterval": 2, "triggers": [
            {"type": "prometheus", "metadata": {"serverAddress": world.proxy.url, "query": query, "threshold": str(CAPACITY)}}]}})
    hpa = lambda: world.kube.get(HPA, world.ns, "keda-hpa-web")
    until(60, "KEDA makes its HPA", lambda: any(o["metadata"]["name"] == "keda-hpa-web" for o in world.kube.list(HPA, world.ns)))
    until(60, "the HPA reads the load through KEDA's adapter", lambda: any(
        c["type"] == "ScalingActive" and c["status"] == "True" for c in hpa()["status"].get("conditions", [])))
    check(hpa()["spec"]["minReplicas"] == 3, f"KEDA's HPA starts at {hpa()['spec']['minReplicas']}")
    world.forescale()
    wanted = lambda: world.kube.get("ScaledObject", world.ns, "web")["spec"]["minReplicaCount"]
    floor = until(120, "minReplicaCount rises", lambda: wanted() > 14 and wanted())
    until(10, "KEDA carries it to the HPA", lambda: hpa()["spec"]["minReplicas"] >= floor)
    until(30, "the replicas follow", lambda: world.replicas()[0] >= floor)
    check(not any("forescale" in f["manager"] for f in hpa()["metadata"]["managedFields"]), "we wrote to KEDA's HPA; KEDA would take it back")
    until(60, "they are Ready", lambda: world.replicas()[1] >= floor)
    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": None})
    until(60, "opted out, 3 is back", lambda: wanted() == 3)
    until(10, "in KEDA's HPA as well", lambda: hpa()["spec"]["minReplicas"] == 3)
    until(30, "nothing of ours is left", lambda: not any("forescale" in m for m, _, _ in world.managers("ScaledObject")))
