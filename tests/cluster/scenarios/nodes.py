"""Nodes that Karpenter buys: how long they take."""
import json

from harness.scenario import scenario
from harness.wait import check, until

BOOT, START = 30, 20  # seconds that the bed is set to: a node's registration, a container's start


@scenario(minute="06:42", about_seconds=60, needs="karpenter")
def the_lead_time_is_learned(world):
    """`forescale leadtime` finds the node's registration and the pod's start within 10 % of what the bed was set to."""
    world.node_pool(boot=BOOT)
    world.deployment(8, cpu="950m", pod=world.on_pool(), start_seconds=(START, START))
    until(BOOT + START + 60, "the pods are Ready", lambda: world.replicas()[1] == 8)
    done = world.command("leadtime", f"{world.ns}/web", "-o", "json")
    check(done.returncode == 0, f"leadtime: exit {done.returncode}: {done.stdout}{done.stderr}")
    lines, median = json.loads(done.stdout), {}
    for line in lines:
        if "new" in line["path"]:
            median[line["phase"]] = float(line["p50"]["value"].rstrip("s"))
    for phase, expected in (("node-registered", BOOT), ("started", START)):  # kwok: containers run when they are Ready
        check(abs(median[phase] - expected) <= 0.1 * expected, f"{phase}: {median[phase]} s, the bed was set to {expected} s: {lines}")
    return f"node-registered {median['node-registered']:.1f} s of {BOOT}, started {median['started']:.1f} s of {START}"
