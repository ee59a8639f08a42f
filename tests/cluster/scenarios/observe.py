"""Opting in to observe."""
from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until


def written(world):
    """All that a write of ours could change: everything but status and the API's own book-keeping."""
    seen = []
    for kind in ("Deployment", HPA):
        o = world.kube.get(kind, world.ns, "web")
        seen.append((o["spec"], o["metadata"].get("annotations"), o["metadata"]["generation"] if kind == "Deployment" else None,
                     sorted(f["manager"] + f["operation"] for f in o["metadata"]["managedFields"] if f.get("subresource") != "status")))
    return seen


@scenario(minute="06:45", about_seconds=60)
def observe_changes_nothing(world):
    """In observe mode nothing in the cluster changes; events and metrics say what would have been done."""
    world.web(mode="observe", replicas=14)
    hpa_held = lambda: (world.kube.get(HPA, world.ns, "web")["spec"], world.kube.get(HPA, world.ns, "web")["metadata"].get("annotations"))
    before, managers = written(world), set(world.managers(HPA)) | set(world.managers("Deployment"))
    copy = world.forescale(mode="act")  # the config would allow it: the workload's own word counts
    until(120, "an event says what would be done", lambda: world.events("observe") or world.events("would"))
    wanted = until(60, "a metric says what would be done", lambda: copy.metric("forescale_plan_replicas", namespace=world.ns))
    check(copy.workload(world.ns)["floor"] > 14 and wanted > 14, f"the floor that would be set is {wanted}, expected more than the 14 replicas that are there")
    held = hpa_held()
    hold(10, "nothing is written in observe mode", lambda: hpa_held() == held)
    after = set(world.managers(HPA)) | set(world.managers("Deployment"))
    check(not any("forescale" in m for m, _, _ in after), f"managedFields name forescale: {after}")
    check(after == managers, f"managers changed from {managers} to {after}")
    check(written(world)[1] == before[1], "the HPA changed")
