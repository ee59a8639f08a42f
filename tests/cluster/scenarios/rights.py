"""The rights of deploy/manifests: enough, and not one verb can go without being named."""
from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, until

GROUPS = {"horizontalpodautoscalers": "autoscaling", "deployments/scale": "apps"}


def without(role, resource, verb):
    """The role's rules with one verb of one resource taken out."""
    rules, found = [], False
    for rule in role["rules"]:
        resources = rule.get("resources", [])
        if resource in resources and verb in rule["verbs"]:
            found = True
            others = [r for r in resources if r != resource]
            rules += [{**rule, "resources": others}] if others else []
            rules.append({**rule, "resources": [resource], "verbs": [v for v in rule["verbs"] if v != verb]})
        else:
            rules.append(rule)
    check(found, f"no rule gives {verb} on {resource}")
    return [r for r in rules if r["verbs"]]


@scenario(minute="06:42", about_seconds=40)
def a_missing_right_is_named(world):
    """The deployed role is enough; with one verb missing the error names resource and verb, and all is well once it is back."""
    role, = (r for r in world.kube.call("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")["items"] if r["metadata"]["name"] == "forescale")
    def give(rules):
        world.kube.merge("ClusterRole", None, "forescale", {"rules": rules})

    def named(copy, resource, verb):
        def probe():
            lines = copy.log.read_text(errors="replace").splitlines() + [f"{e['reason']} {e['message']}" for e in world.events()]
            return any(resource in line and verb in line for line in lines)
        until(60, f"an error names {verb} and {resource}", probe)

    world.web()
    try:
        give(without(role, "horizontalpodautoscalers", "patch"))
        copy = world.forescale()
        named(copy, "horizontalpodautoscalers", "patch")
        check(world.floor() == 2, "the floor was written without the right to")
        give(role["rules"])
        until(120, "with the right back the floor rises", lambda: world.floor() > 14)
        copy.stop()
        give(without(role, "horizontalpodautoscalers", "list"))
        named(world.forescale(ready=False), "horizontalpodautoscalers", "list")
    finally:
        give(role["rules"])
    until(120, "with the right back the program is ready", lambda: world.copies[-1].get("/readyz") is not None)
    check(("forescale", "Update", "") in world.managers(HPA), "the floor is ours")


@scenario(minute="06:30", about_seconds=10)
def credentials_that_are_no_good_are_told(world):
    """A token that is not accepted and a kubeconfig that is not there: what was expected, found and to do, and the exit code."""
    world.deployment(1)
    nobody = world.bed.kubeconfig(world.dir / "nobody.kubeconfig", "nobody", "not-a-token")
    copy = world.forescale()
    for about, kubeconfig, code, words in [
            ("not accepted", nobody, 1, ("401", "missing or expired", "log in")),
            ("not there", world.dir / "nowhere", 2, ("nowhere", "expected a kubeconfig", "--kubeconfig"))]:
        done = copy.command("release", "--all", "--kubeconfig", str(kubeconfig))
        check(done.returncode == code, f"{about}: exit {done.returncode}: {done.stderr}")
        check(all(w in done.stderr for w in words), f"{about}: {done.stderr}")
