"""The source of load on its bad days."""
import shutil, time

from harness.scenario import scenario
from harness.wait import check, hold, until

PEAK = 10_500


def no_lower(world, floor, what):
    check(world.floor() >= floor and world.replicas()[0] >= floor, f"{what}: floor {world.floor()}, replicas {world.replicas()[0]}, before {floor}")
    return True


@scenario(minute="07:04", about_seconds=210)
def the_source_fails(world):
    """Prometheus stopped, 500, empty, zeros at the peak, 20 s late: no scale-in, said within a minute, recovers."""
    world.trace.now = lambda t: PEAK  # the plateau of the peak
    world.adapter = lambda t: {"external": {f"{world.ns}/rps": PEAK}}
    world.web()
    world.proxy.mode = "empty"
    copy = world.forescale(ready=False)
    healthy = lambda: copy.sources(world.ns) == ["fresh"]
    until(90, "without any history it holds what is there", lambda: world.events("no fresh samples"))
    world.proxy.mode = "pass"
    until(90, "the source is up", healthy)
    until(90, "the history is learned once it is there", lambda: copy.workload(world.ns)["metrics"][0]["samples"] > 20_000)
    until(120, "the floor covers the peak", lambda: world.floor() >= PEAK // 500)

    def stopped():
        world.prometheus.stop()
        return world.prometheus.start

    def proxied(mode):
        def begin():
            world.proxy.mode = mode
            return lambda: setattr(world.proxy, "mode", "pass")
        return begin

    for what, begin in (("stopped", stopped), ("500", proxied("error")), ("empty", proxied("empty")), ("slow", proxied("slow"))):
        floor, t0 = min(world.floor(), PEAK // 500), time.time()
        end = begin()
        until(60, f"{what}: the program says that the source is not well", lambda: no_lower(world, floor, what) and not healthy())
        until(60 - min(50, time.time() - t0), f"{what}: an event says so", lambda: world.events("source", since=t0))
        hold(10, f"{what}: no scale-in", lambda: no_lower(world, floor, what))
        end()
        until(90, f"{what}: recovers", healthy)

    floor, t0 = min(world.floor(), PEAK // 500), time.time()
    world.trace.now = lambda t: 0
    until(60, "zeros at the peak are doubted", lambda: no_lower(world, floor, "zeros") and copy.sources(world.ns) == ["doubted"])
    until(30, "an event says so", lambda: world.events("not believed", since=t0))
    hold(15, "zeros at the peak: no scale-in", lambda: no_lower(world, floor, "zeros"))
    world.trace.now = lambda t: PEAK
    until(60, "zeros at the peak: recovers", lambda: no_lower(world, floor, "after the zeros") and healthy())


@scenario(minute="06:30", about_seconds=70)
def history_outlives_its_source(world):
    """Prometheus comes back without its data: the program knows its history from disk, and says what it sets aside."""
    folder = world.dir / "history"
    world.web("observe", replicas=4)
    samples = lambda copy: sum(m["samples"] for m in (copy.workload(world.ns) or {"metrics": []})["metrics"])
    first = world.forescale("observe", store__path=str(folder))
    until(90, "the history is learned", lambda: samples(first) > 20_000)
    before = samples(first)
    first.stop()
    check((folder / "history.sqlite").stat().st_size > 100_000, "hardly anything was written")
    world.prometheus.stop()
    shutil.rmtree(world.prometheus.data)
    world.prometheus.start()
    second = world.forescale("observe", store__path=str(folder))
    until(90, "the history is known again", lambda: samples(second) >= before)
    until(60, "the source is fresh", lambda: second.sources(world.ns) == ["fresh"])
    second.stop()
    (folder / "history.sqlite").write_bytes(b"something else")
    third = world.forescale("observe", store__path=str(folder))
    check("aside-1" in third.tail(400), "nothing is said of the file that was set aside")
    check((folder / "history.sqlite.aside-1").exists(), "it was not set aside")
    return f"{before} samples"
