"""The way back: down in steps, and the user's own values afterwards."""
import time

from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until
from harness.world import CAPACITY

LEDGER = "forescale.dev/ledger"


def given_back(world, original):
    """The user's value is back, nothing on the HPA is ours, and the user's next server-side apply meets no conflict."""
    until(60, f"minReplicas is {original} again", lambda: world.floor() == original)
    until(30, "our managedFields entry is gone", lambda: not any("forescale" in m for m, _, _ in world.managers(HPA)))
    annotations = world.kube.get(HPA, world.ns, "web")["metadata"].get("annotations") or {}
    check(LEDGER not in annotations, f"the ledger is still there: {annotations}")
    world.kube.apply(world.hpa_object(minimum=original + 1))  # raises ApiError 409 on a conflict
    check(world.floor() == original + 1, "the user's apply did not take")


@scenario(minute="08:50", about_seconds=460)
def the_floor_comes_down_in_steps(world):
    """After the peak the floor comes down in steps, never below the load; HPA alone would drop in one."""
    fall = world.trace.jump(up=False)
    world.web()
    world.forescale()
    top = until(120, "the floor covers the load", lambda: (world.floor() or 0) >= 17 and world.floor())
    until(fall + 30 - time.time(), "the load has fallen", lambda: world.need(time.time()) <= 13)
    # five minutes of fresh samples come before anything is lowered, then a tenth a minute
    until(480, "the floor follows the fall", lambda: world.lowest_floor(fall) <= top - 3)
    steps = []
    for t, floor, _, _ in world.timeline:
        if floor and (not steps or steps[-1][1] != floor):
            steps.append((round(t - world.trace.start), floor))
    falls = [a[1] - b[1] for a, b in zip(steps, steps[1:]) if b[1] < a[1]]
    # how low it may go at once depends on what was usual at this hour; three tenths is the most in a quarter of an hour
    check(len(falls) >= 2 and max(falls) <= 0.3 * top, f"the floor fell by {falls}; expected several steps: {steps}")
    short = [(round(t - world.trace.start), r) for t, _, r, _ in world.timeline if t > fall and r < 0.88 * world.trace.at(t) / CAPACITY]
    check(not short, f"replicas were below the load at {short}")
    until(15, "an event says that the floor was lowered", lambda: world.events("lowered"))


@scenario(minute="06:42", about_seconds=80)
def opt_out_and_release_give_back(world):
    """Opt-out and `release` put the user's value back, and the user's next server-side apply meets no conflict."""
    world.web()
    copy = world.forescale()
    until(120, "the floor rises", lambda: (world.floor() or 0) > 14)
    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": None})
    given_back(world, 2)
    world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": "act"})
    floor = until(120, "opted in again, the floor rises", lambda: (world.floor() or 0) > 14 and world.floor())
    copy.stop(5)
    hold(3, "the floor stays when the program ends", lambda: world.floor() == floor)
    done = copy.command("release", "-n", world.ns, "web")
    check(done.returncode == 0, f"release: exit {done.returncode}: {done.stdout}{done.stderr}")
    given_back(world, 3)
