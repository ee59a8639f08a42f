"""The way back: down in steps, and the user's own values afterwards."""
import time

from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until

LEDGER = "forescale.dev/ledger"


def given_back(world, original):
    """The user's value is back, nothing on the HPA is ours, and the user's next server-side apply meets no conflict."""
    until(60, f"minReplicas is {original} again", lambda: world.floor() == original)
    until(30, "our managedFields entry is gone", lambda: not any("forescale" in m for m, _, _ in world.managers(HPA)))
    annotations = world.kube.get(HPA, world.ns, "web")["metadata"].get("annotations") or {}
    check(LEDGER not in annotations, f"the ledger is still there: {annotations}")
    world.kube.apply(world.hpa_object(minimum=original + 1))  # raises ApiError 409 on a conflict
    check(world.floor() == original + 1, "the user's apply did not take")


@scenario(minute="08:34", about_seconds=330)
def the_floor_comes_down_in_steps(world):
    """After the peak the floor comes down in steps; opt-out and `release` put the user's value back, free of conflicts."""
    fall = world.trace.jump(up=False)
    world.web()
    copy = world.forescale()
    top = until(120, "the floor covers the load", lambda: (world.floor() or 0) >= 17 and world.floor())
    until(fall + 240 - time.time(), "the floor follows the fall", lambda: world.floor() <= top - 4)
    steps = []
    for t, floor, _, _ in world.timeline:
        if floor and (not steps or steps[-1][1] != floor):
            steps.append((round(t - world.trace.start), floor))
    falls = [a[1] - b[1] for a, b in zip(steps, steps[1:]) if b[1] < a[1] and b[1] != 2]
    check(len(falls) >= 2, f"the floor fell in one step: {steps}")
    check(max(falls) < top - 13, f"the floor fell by {max(falls)} at once: {steps}")
    check(world.events("lowered"), "no event says that the floor was lowered")

    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": None})
    given_back(world, 2)
    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": "act"})
    floor = until(90, "opted in again, the floor rises", lambda: (world.floor() or 0) > 6 and world.floor())
    copy.stop(5)
    hold(3, "the floor stays when the program ends", lambda: world.floor() == floor)
    done = copy.command("release", "-n", world.ns, "web", *copy.argv[1:])
    check(done.returncode == 0, f"release: exit {done.returncode}: {done.stdout}{done.stderr}")
    given_back(world, 3)
