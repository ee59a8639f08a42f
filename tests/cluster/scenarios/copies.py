"""Copies of the program that die, stop or come twice."""
import time

from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until


@scenario(minute="06:42", about_seconds=50)
def killed_in_the_middle_of_a_ramp(world):
    """kill -9 and a restart in the middle of a ramp: the floor is never lower than before, the first action may only raise."""
    world.web()
    first = world.forescale()
    floor = until(120, "the floor rises", lambda: (world.floor() or 0) > 14 and world.floor())
    first.kill()
    killed = time.time()
    hold(5, "the floor stays when the program is killed", lambda: world.floor() == floor)
    second = world.forescale()
    until(90, "the new copy writes or keeps", lambda: second.metric("forescale_tick_decisions_total"))
    hold(20, "the floor is not lower than before the kill", lambda: world.floor() >= floor)
    check(world.lowest_floor(killed) >= floor, f"after the kill the floor was {world.lowest_floor(killed)}, before it {floor}")


@scenario(minute="06:42", about_seconds=40)
def two_copies_one_writes(world):
    """Of two copies one writes; when the writer stops without a word the other takes over, and the stopped one stays quiet."""
    world.web()
    copies = [world.forescale(), world.forescale()]
    until(120, "the floor rises", lambda: (world.floor() or 0) > 14)
    writes = lambda c: sum(c.metric("forescale_actuate_writes_total", outcome=o) or 0 for o in ("floor", "ledger", "scale", "restore"))
    until(30, "a copy counts its writes", lambda: any(writes(c) for c in copies))
    writer, other = sorted(copies, key=writes, reverse=True)
    check(writes(writer) > 0 and writes(other) == 0, f"writes: {writes(writer)} and {writes(other)}; expected one copy to write")
    holder = lambda: world.kube.get("Lease", "forescale", "forescale")["spec"].get("holderIdentity")
    before = holder()
    writer.freeze()
    until(60, "the other copy holds the lease", lambda: holder() not in (None, "", before))
    surprise = 1.5 * world.trace.at(time.time())
    world.trace.now = lambda t: surprise
    until(120, "the other copy writes", lambda: writes(other) > 0)
    mine = writes(other)
    writer.thaw()
    until(60, "the thawed copy answers", lambda: writer.get("/healthz") is not None)
    old = writes(writer)
    hold(12, "the thawed copy writes nothing", lambda: writes(writer) == old)
    check(writes(other) >= mine, "the new writer lost its books")


@scenario(minute="06:42", about_seconds=40)
def leftovers_are_swept(world):
    """A workload that is deleted while no copy runs: the next copy puts its HPA's own value back at its start."""
    world.web()
    first = world.forescale()
    floor = until(120, "the floor rises", lambda: (world.floor() or 0) > 14 and world.floor())
    first.stop(5)
    world.kube.delete("Deployment", world.ns, "web")
    check(world.floor() == floor, "the floor does not wait for anybody")
    world.forescale()
    until(60, "the user's value is back", lambda: world.floor() == 2)
    until(30, "nothing of ours is left", lambda: not any("forescale" in m for m, _, _ in world.managers(HPA)))
