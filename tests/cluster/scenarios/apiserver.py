"""The API server away."""
import json
import time

from harness.scenario import scenario
from harness.wait import check, until
from harness.world import CAPACITY


def decisions(copy):
    """Floors in the decision log, oldest first."""
    lines = copy.get("/statez") and (copy.dir / f"{copy.name}.decisions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@scenario(minute="07:04", about_seconds=140)
def the_api_server_stops_for_a_minute(world):
    """API server frozen for a minute: computing goes on, and on return the newest decision alone is written."""
    world.trace.now = lambda t: 5_000
    world.web(replicas=10, maximum=90)
    copy = world.forescale()
    before = until(120, "the floor is there", lambda: (world.floor() or 0) >= 10 and world.floor())
    until(30, "replicas follow", lambda: world.replicas()[1] >= before)
    count = len(decisions(copy))
    # two rises while the API server is away: only what the second asks for may be seen afterwards
    first, second = 1.25 * before * CAPACITY, 1.6 * before * CAPACITY
    world.bed.freeze("kube-apiserver")
    frozen = time.time()
    try:
        world.trace.now = lambda t: first if t < frozen + 30 else second
        until(120, "decisions go on for a minute", lambda: time.time() > frozen + 60 and len(decisions(copy)) >= count + 3)
    finally:
        world.bed.thaw("kube-apiserver")
    back = time.time()
    until(120, "the newest decision is written", lambda: (world.lowest_floor(time.time() - 2) or 0) >= second / CAPACITY)
    floors = [f for t, f, _, _ in world.timeline if t > back and f]
    between = [f for f in floors if before < f < second / CAPACITY]
    check(not between, f"after the return the floor went through {between}: an older decision was written; all: {sorted(set(floors))}")
