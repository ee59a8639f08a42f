"""Nodes that Karpenter buys: a NodePool of a scenario's own, and what became of its NodeClaims."""
import calendar, time

from .wait import until

PHASES = ("Launched", "Registered", "Initialized")


def seconds(text):
    """RFC 3339 in UTC, with or without fractions, as seconds since 1970."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + (float("0." + fraction) if fraction else 0.0)


def pause(name, ns, count, pod, priority_class):
    """The warm pool that people keep by hand: placeholder pods of one pod's shape, preempted by whatever is real."""
    instant = {f"pod-{stage}.stage.kwok.x-k8s.io/{k}": "0s" for stage in ("create", "ready", "delete") for k in ("delay", "jitter-delay")}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": ns},
            "spec": {"replicas": count, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}, "annotations": instant},
                                  "spec": {**pod, "priorityClassName": priority_class, "terminationGracePeriodSeconds": 1}}}}


class Nodes:
    """What a world can do where Karpenter runs (scenario(needs="karpenter")). Its NodePool, node class and taint are named
    like its namespace, so that no other pod of the bed gets there."""

    def node_pool(self, boot=8, budgets=None, consolidate_after="5s", types=("m-4x-amd64-linux",), **spec):
        """Nodes of 4 cpu (3.9 allocatable) that register `boot` seconds after they were bought."""
        self.kube.create({"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": self.ns},
                          "spec": {"nodeRegistrationDelay": f"{boot}s"}})
        return self.kube.create(self.node_pool_object(budgets, consolidate_after, types, **spec), manager="kubectl-create")

    def node_pool_object(self, budgets=None, consolidate_after="5s", types=("m-4x-amd64-linux",), **spec):
        need = [("karpenter.sh/capacity-type", ["on-demand"]), ("kubernetes.io/arch", ["amd64"]),
                ("node.kubernetes.io/instance-type", list(types))]
        return {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": self.ns}, "spec": {
            "template": {"metadata": {"labels": {"pool": self.ns}}, "spec": {
                "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": self.ns},
                "expireAfter": "Never", "taints": [{"key": "pool", "value": self.ns, "effect": "NoSchedule"}],
                "requirements": [{"key": k, "operator": "In", "values": v} for k, v in need]}},
            "limits": {"cpu": "400"},
            "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": consolidate_after,
                           "budgets": [{"nodes": "100%"}] if budgets is None else budgets}, **spec}}

    def on_pool(self):
        """Pod spec fields that put a pod on this world's NodePool, and nowhere else."""
        return {"nodeSelector": {"pool": self.ns}, "tolerations": [{"key": "pool", "value": self.ns, "effect": "NoSchedule"}]}

    def pool(self):
        return self.kube.get("NodePool", None, self.ns)

    def budgets(self):
        return self.pool()["spec"]["disruption"].get("budgets")

    def claims(self):
        """The NodeClaims of this world's NodePool, oldest first."""
        return sorted(self.kube.list("NodeClaim", None, labelSelector=f"karpenter.sh/nodepool={self.ns}"),
                      key=lambda c: (c["metadata"]["creationTimestamp"], c["metadata"]["name"]))

    @staticmethod
    def reached(claim, phase):
        """When a NodeClaim reached a phase, in seconds since 1970; None before."""
        return next((seconds(c["lastTransitionTime"]) for c in claim.get("status", {}).get("conditions", [])
                     if c["type"] == phase and c["status"] == "True"), None)

    def pods_of(self, app, ready=False):
        """Pods by their label app; with ready, those alone that are."""
        pods = self.kube.list("Pod", self.ns, labelSelector=f"app={app}")
        return [p for p in pods if not ready or any(c["type"] == "Ready" and c["status"] == "True"
                                                    for c in p["status"].get("conditions", []))]

    def nodes_gone(self, wait_seconds=120):
        """Deletes every NodePool and node class, and what a failed scenario's pool left; waits until the nodes are gone."""
        for kind in ("Deployment", "CapacityBuffer"):
            for o in self.kube.list(kind, "forescale", labelSelector="forescale.dev/pool"):
                self.kube.delete(kind, "forescale", o["metadata"]["name"])
        for kind in ("NodePool", "KWOKNodeClass"):
            for o in self.kube.list(kind, None):
                self.kube.delete(kind, None, o["metadata"]["name"])
        until(wait_seconds, "Karpenter's nodes are gone", lambda: not self.kube.list("NodeClaim", None))
