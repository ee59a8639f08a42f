"""Opting in to observe."""
from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until


def users_part(world):
    """What only a user, or a write of ours, changes: HPA replicas and status are the HPA controller's."""
    hpa, web = (world.kube.get(kind, world.ns, "web") for kind in (HPA, "Deployment"))
    spec = {k: v for k, v in web["spec"].items() if k != "replicas"}
    notes = {k: v for k, v in web["metadata"]["annotations"].items() if not k.startswith("deployment.kubernetes.io/")}
    return hpa["spec"], hpa["metadata"].get("annotations"), spec, notes


def managers(world):
    """Everybody who owns a field, without the cluster's own controllers."""
    both = set(world.managers(HPA)) | set(world.managers("Deployment"))
    return {m for m in both if m[0] != "kube-controller-manager"}


@scenario(minute="06:45", about_seconds=50)
def observe_changes_nothing(world):
    """In observe mode nothing in the cluster changes; events and metrics say what would have been done."""
    world.web(mode="observe", replicas=14)
    before, owners = users_part(world), managers(world)
    copy = world.forescale(mode="act")  # the config would allow it: the workload's own word counts
    until(120, "an event says what would be done", lambda: world.events("would raise"))
    until(60, "the metrics say what would be done", lambda: (copy.metric("forescale_observe_floor_replicas", namespace=world.ns) or 0) > 14)
    check(copy.workload(world.ns)["floor"] > 14, "/statez does not say what would be done")
    hold(10, "nothing is written in observe mode", lambda: users_part(world) == before)
    check(managers(world) == owners, f"managedFields changed from {owners} to {managers(world)}")
