"""What happened under a policy: recorded while it runs, scored afterwards."""
import threading, time

from .load import CAPACITY, EVENTS

EVERY = 0.5  # seconds between two looks; nothing below is sharper


class Recorder:
    """Looks at the Deployment and at Karpenter's NodeClaims until it is ended."""

    def __init__(self, world):
        self.world, self.looks, self.claims, self.closing = world, [], {}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.closing.wait(EVERY):
            try:
                now = time.time()
                web = self.world.kube.get("Deployment", self.world.ns, "web")
                alive = set()
                for c in self.world.claims():
                    name = c["metadata"]["name"]
                    alive.add(name)
                    seen = self.claims.setdefault(name, {"first": now, "launched": None, "disrupted": None, "last": now})
                    seen["last"] = now
                    if seen["launched"] is None and self.world.reached(c, "Launched"):
                        seen["launched"] = now
                    if seen["disrupted"] is None and c["metadata"].get("deletionTimestamp"):
                        seen["disrupted"] = now
                self.looks.append((now, web["spec"]["replicas"], web["status"].get("readyReplicas", 0), len(alive)))
            except Exception:  # a look is missing; the score interpolates nothing, the next look is half a second away
                pass

    def end(self):
        self.closing.set()
        self.thread.join(20)


def need(load):
    return -(-int(load) // CAPACITY)


def percentile(values, q):
    """The smallest value that at least a share q of all do not exceed; None of nothing."""
    values = sorted(values)
    return values[max(0, -(-int(len(values) * q * 1000) // 1000) - 1)] if values else None


def lateness(looks, load, first, last):
    """For each replica of need that arises between two instants, above the highest need before it: seconds until so many
    were Ready. Where they never were, until the need was over: the least it can have been."""
    inside = [(t, ready) for t, _, ready, _ in looks if first <= t <= last]
    late, highest = [], need(load(first))
    for i, (t, _) in enumerate(inside):
        now = need(load(t))
        for k in range(highest + 1, now + 1):
            over = next((u for u, ready in inside[i:] if ready >= k or need(load(u)) < k), last)
            late.append((k, max(0.0, over - t)))
        highest = max(highest, now)
    return late


def score(recorder, trace, slots=0):
    """The row of one policy. `slots`: free places of its warm pool when the surprise began."""
    looks, load = recorder.looks, trace.at
    begin, end = trace.second(EVENTS["ramp"][0]), trace.second(EVENTS["surprise"][1])
    row = {"slots": slots, "events": {}}
    every = []
    for name, (first, last) in EVENTS.items():
        first, last = trace.second(first), trace.second(last)
        late = lateness(looks, load, first, last)
        every += [s for _, s in late]
        row["events"][name] = {"needed": len(late), **{f"p{q}": percentile([s for _, s in late], q / 100) for q in (50, 95, 99)}}
        if name == "surprise":
            ready = next((r for t, _, r, _ in looks if t >= first), 0)
            within = [s for k, s in late if k <= ready + slots]
            row["events"]["within"] = {"needed": len(within), **{f"p{q}": percentile(within, q / 100) for q in (50, 95, 99)}}
    row["all"] = {f"p{q}": percentile(every, q / 100) for q in (50, 95, 99)}
    row["late_pod_seconds"] = row["node_seconds"] = row["pod_seconds"] = 0.0
    for (t, spec, ready, nodes), (u, *_) in zip(looks, looks[1:]):
        if begin <= t <= end:
            row["late_pod_seconds"] += max(0, need(load(t)) - ready) * (u - t)
            row["pod_seconds"] += spec * (u - t)
            row["node_seconds"] += nodes * (u - t)
    row["hours"] = (end - begin) / 3600
    claims = recorder.claims.values()
    row["claims_before"] = sum(c["first"] < begin for c in claims)
    row["claims_bought"] = sum(begin <= c["first"] <= end for c in claims)
    rising = [(trace.second(a), trace.second(b)) for a, b in EVENTS.values()]
    row["disrupted"] = sum(c["disrupted"] is not None and begin <= c["disrupted"] <= end for c in claims)
    row["disrupted_in_ramp"] = sum(c["disrupted"] is not None and rising[0][0] <= c["disrupted"] <= rising[0][1] for c in claims)
    row["looks"] = len(looks)
    return row
