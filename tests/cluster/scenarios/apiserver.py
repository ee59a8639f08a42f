"""The API server away."""
import json
import time

from harness.scenario import scenario
from harness.wait import check, until


def decisions(copy):
    """Floors in the decision log, oldest first."""
    lines = copy.get("/statez") and (copy.dir / f"{copy.name}.decisions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@scenario(minute="07:04", about_seconds=170)
def the_api_server_stops_for_a_minute(world):
    """API server frozen for a minute: computing goes on, and on return the newest decision alone is written."""
    world.trace.now = lambda t: 7_000
    world.web(replicas=14)
    copy = world.forescale()
    until(120, "the floor is there", lambda: (world.floor() or 0) >= 14)
    count = len(decisions(copy))
    world.bed.freeze("kube-apiserver")
    frozen = time.time()
    try:
        world.trace.now = lambda t: 12_000 if t < frozen + 30 else 16_000
        until(120, "decisions go on for a minute", lambda: time.time() > frozen + 60 and len(decisions(copy)) >= count + 3)
        newest = decisions(copy)[-1]
    finally:
        world.bed.thaw("kube-apiserver")
    back = time.time()
    until(120, "the newest decision is written", lambda: (world.floor() or 0) >= 16_000 / 500)
    seen = [f for t, f, _, _ in world.timeline if t > back and f]
    first = next(f for f in seen if f != seen[0]) if len(set(seen)) > 1 else seen[0]
    check(first >= 30, f"after the return the floor first went to {first}: an older decision was written; newest: {json.dumps(newest)[:400]}")
