"""One policy on a bed of its own: the workload, nodes that take 45 to 90 s (scaled) to boot, and the played morning."""
import random, threading, time

from harness.wait import until
from harness.world import World

from .load import EVENTS, SCALE, TARGET, Days
from .measure import Recorder, score

SCRAPE = 15 / SCALE  # seconds; of Prometheus, and of the metrics adapter
BOOT = (round(45 / SCALE), round(90 / SCALE))  # seconds, whole ones only
CPU = "950m"  # four pods fill a node of 4 cpu (3.9 allocatable)


class Arena(World):
    def __init__(self, bed, policy, folder):
        super().__init__(bed, f"bench_{policy.name}".replace("-", "_"), folder, None, trace=Days(),
                         scrape=f"{1000 * SCRAPE:.0f}ms", feed_seconds=SCRAPE)

    def vary_boot(self):
        """Every second another boot time for the nodes that are bought from then on; the same sequence for each policy."""
        chance = random.Random(45)
        while not self.closing.wait(1):
            try:
                self.kube.merge("KWOKNodeClass", None, self.ns, {"spec": {"nodeRegistrationDelay": f"{chance.randint(*BOOT)}s"}})
            except OSError:
                pass  # the next second brings the next one


def play(bed, policy, folder):
    """Returns the policy's row. The clock starts at once: what has to stand before the ramp has eight minutes of it."""
    world = Arena(bed, policy, folder)
    try:
        pod = {**world.on_pool(), "containers": [{"name": "app", "image": "web:1", "resources": {"requests": {"cpu": CPU, "memory": "64Mi"}}}]}
        world.node_pool(boot=10, consolidate_after=f"{60 / SCALE:.0f}s")
        boot = threading.Thread(target=world.vary_boot, daemon=True)
        boot.start()
        world.threads.append(boot)
        replicas = -(-int(world.trace.at(time.time())) // TARGET)
        world.deployment(replicas, policy.annotations(), pod=pod)
        policy.autoscaler(world)
        policy.warm(world, pod)
        if policy.forescale is not None:
            world.forescale(**{k.replace(".", "__"): v for k, v in policy.settings(world).items()})
        until(120, "the replicas of the quiet hour are Ready", lambda: world.replicas()[1] >= 0.8 * replicas)
        recorder = Recorder(world)
        ramp, end = (world.trace.second(m) for m in (EVENTS["ramp"][0], EVENTS["surprise"][1]))
        if time.time() > ramp:
            raise RuntimeError(f"the machine is too slow: {time.time() - ramp:.0f} s into the ramp before everything stood")
        surprise, slots = world.trace.second(EVENTS["surprise"][0]), None
        while (now := time.time()) < end + 5:
            if slots is None and now >= surprise:
                slots = free_slots(world)
            time.sleep(0.5)
        recorder.end()
        return score(recorder, world.trace, slots or 0)
    finally:
        world.close()


def free_slots(world):
    """Placeholder pods that are Ready, the user's or the program's; or the chunks of its CapacityBuffer, as it says."""
    if world.copies:
        return int(world.copies[0].metric("forescale_pool_slots_ready") or 0)
    return len(world.pods_of("warm", ready=True))
