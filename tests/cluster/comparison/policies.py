"""The policies that are compared: what each adds to the same workload, HPA target and nodes.

Times that a user or Kubernetes sets are divided by the clock's scale (here 6), as far as they can be: HPA sync 15 s -> 2.5 s,
stabilization 300 s -> 50 s, its default policies' period 15 s -> 2 s (whole seconds only).
"""
import dataclasses

from harness.kube import HPA
from harness.nodes import pause

from .load import PAST, SCALE, STEP, TARGET

PEAK = 118  # replicas that an HPA wants at the lunch peak: what people size a static pool from
MAXIMUM = 200


def sync(seconds):
    return f"--kcm-arg=--horizontal-pod-autoscaler-sync-period={1000 * seconds / SCALE:.0f}ms"


DEFAULT = [sync(15), f"--kcm-arg=--horizontal-pod-autoscaler-downscale-stabilization={300 / SCALE:.0f}s",
           f"--kcm-arg=--horizontal-pod-autoscaler-initial-readiness-delay={30 / SCALE:.0f}s"]
PERIOD = int(15 // SCALE)
USUAL = {"scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
    {"type": "Percent", "value": 100, "periodSeconds": PERIOD}, {"type": "Pods", "value": 4, "periodSeconds": PERIOD}]}}
QUICK = {"scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 900, "periodSeconds": 1}]}}


@dataclasses.dataclass
class Policy:
    name: str
    about: str
    control_plane: list = dataclasses.field(default_factory=lambda: DEFAULT)
    behavior: dict = dataclasses.field(default_factory=lambda: USUAL)
    static: float = 0.0  # share of the peak that is kept warm
    keda: bool = False
    forescale: dict = None  # settings of the program; None: it doesn't run
    pool: str = ""  # back end of the program's warm pool; none without

    def settings(self, world):
        """What the program is set to beside what every scenario's is."""
        pool = {"node_pool": world.ns, "lead_time": f"{90 / SCALE:.0f}s", "backend": self.pool}
        return {**self.forescale, **({f"pools.main.{k}": v for k, v in pool.items()} if self.pool else {})}

    def annotations(self):
        acts = {"forescale.dev/mode": "act"} if self.forescale is not None else {}
        return {**acts, **({"forescale.dev/pool": "main"} if self.pool else {})}

    def slots(self):
        return -(-int(100 * self.static * PEAK) // 100)

    def autoscaler(self, world):
        if self.keda:
            query = f'sum(rps{{namespace="{world.ns}",workload="web"}})'
            world.kube.create({
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "web", "namespace": world.ns},
                "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": 2, "maxReplicaCount": MAXIMUM, "pollingInterval": max(1, 6 // SCALE),
                         "advanced": {"horizontalPodAutoscalerConfig": {"behavior": self.behavior}},
                         "triggers": [{"type": "prometheus", "metadata": {
                             "serverAddress": world.prometheus.url, "query": query, "threshold": str(TARGET)}}]}})
            return
        hpa = world.hpa_object(maximum=MAXIMUM, metric={"type": "External", "external": {
            "metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": str(TARGET)}}})
        hpa["spec"]["behavior"] = self.behavior
        world.kube.apply(hpa)

    def warm(self, world, pod):
        """The static pool's placeholder pods."""
        if self.static:
            name = f"{world.ns}-warm"
            world.kube.create({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
                               "value": -10, "preemptionPolicy": "Never", "globalDefault": False})
            world.kube.create(pause("warm", world.ns, self.slots(), pod, name))


ACT = {"workloads.lead_time": f"{180 // SCALE}s", "workloads.step": f"{STEP}s", "workloads.history": f"{PAST * STEP // 60}d"}
POLICIES = {p.name: p for p in (
    Policy("hpa", "HPA, defaults"),
    Policy("hpa-fast", "HPA, tuned: sync 5 s, +900 % at once, tolerance 1 %",
           [sync(5), *DEFAULT[1:]], {"scaleUp": {**QUICK["scaleUp"], "tolerance": "0.01"}}),
    Policy("static-10", "HPA + static warm pool, 10 % of peak", static=0.10),
    Policy("static-15", "HPA + static warm pool, 15 % of peak", static=0.15),
    Policy("static-20", "HPA + static warm pool, 20 % of peak", static=0.20),
    Policy("keda", "KEDA, Prometheus trigger every 6 s, +900 % at once", behavior=QUICK, keda=True),
    Policy("forescale", "HPA + Forescale, floors only", forescale=ACT),
    Policy("forescale-pool", "HPA + Forescale, floors and warm pool (placeholders)", forescale=ACT, pool="placeholders"),
    Policy("forescale-buffer", "HPA + Forescale, floors and warm pool (CapacityBuffer)", forescale=ACT, pool="capacity-buffer"),
)}
