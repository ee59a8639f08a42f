"""The kill switch: a ConfigMap for everything, an annotation for one namespace."""
import time

from harness.bed import NAMESPACE
from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until

HONOURED = 10  # seconds from the switch to the last write of ours


def wrote(world):
    """What changes with every write of ours: the HPA's managedFields entry, and the ledger."""
    hpa = world.kube.get(HPA, world.ns, "web")
    entries = [f for f in hpa["metadata"]["managedFields"] if f["manager"] == "forescale"]
    return hpa["spec"]["minReplicas"], entries, (hpa["metadata"].get("annotations") or {}).get("forescale.dev/ledger")


@scenario(minute="07:04", about_seconds=140)
def the_kill_switch_is_honoured(world):
    """A namespace's annotation and the ConfigMap stop every write within 10 s, also over a restart; without them it goes on."""
    world.trace.now = lambda t: 7_000
    world.web()
    copy = world.forescale()
    until(120, "the floor covers the load", lambda: (world.floor() or 0) >= 14)

    def namespace(reason):
        world.kube.annotate("Namespace", None, world.ns, {"forescale.dev/stop": reason})

    def everything(reason):
        name = "forescale-stop"
        if reason:
            world.kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": {"reason": reason}})
        else:
            world.kube.delete("ConfigMap", NAMESPACE, name)

    try:
        for what, switch in (("namespace", namespace), ("ConfigMap", everything)):
            t0 = time.time()
            switch("incident 123")
            until(HONOURED, f"{what}: statez says that we are stopped, and why", lambda: "incident 123" in ((copy.workload(world.ns) or {}).get("stopped") or ""))
            until(30, f"{what}: an event says so", lambda: world.events("stopped", since=t0))
            time.sleep(max(0, t0 + HONOURED - time.time()))
            check(world.floor() >= 14, f"{what}: the floor that stood became {world.floor()}")
            world.kube.merge(HPA, world.ns, "web", {"spec": {"minReplicas": 2}})  # without the switch this is answered within seconds
            before = wrote(world)
            hold(15, f"{what}: nothing is written", lambda: wrote(world) == before)
            if switch is everything:
                copy.stop()
                copy = world.forescale()
                until(60, "started again, it knows that it is stopped", lambda: (copy.workload(world.ns) or {}).get("stopped"))
                hold(15, "started again, nothing is written", lambda: wrote(world) == before)
            wanted = until(30, f"{what}: decisions go on", lambda: (w := copy.workload(world.ns)) and w["floor"])
            check((copy.metric("forescale_stopped", namespace=world.ns) or 0) == 1, f"{what}: no metric says so; wanted {wanted}")
            switch(None)
            until(90, f"{what}: switched back, the floor covers the load again", lambda: world.floor() >= 14)
            until(30, f"{what}: an event says that it goes on", lambda: world.events("resumed", since=t0))
    finally:
        everything(None)
