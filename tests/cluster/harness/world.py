"""What one scenario has to itself: a namespace on a bed, a load, a Prometheus, and copies of the program."""
import os, pathlib, subprocess, threading, time

from .forescale import Forescale, binary
from .kube import HPA
from .load import Exporter, Trace
from .nodes import Nodes, seconds
from .prometheus import Prometheus, Proxy
from .wait import check, until

CAPACITY = 500  # queries/s that one replica serves: 6,400 before the ramp are 13 replicas, 10,700 after it 22
START_SECONDS = (1, 3)  # pods are Ready so long after they are bound


class World(Nodes):
    def __init__(self, bed, name, folder, minute, cpu=False, trace=None, scrape="1s", feed_seconds=1):
        self.bed, self.kube, self.name = bed, bed.kube, name
        self.ns, self.dir = name.replace("_", "-"), pathlib.Path(folder)
        self.dir.mkdir(parents=True)
        self.copies, self.closing, self.timeline = [], threading.Event(), []
        self.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.ns}})
        self.trace, self.feed_seconds = trace or Trace(minute), feed_seconds
        self.families, history = {"rps": [(f'namespace="{self.ns}",workload="web"', lambda t: self.trace.at(t))]}, {}
        history["rps"] = [(f'namespace="{self.ns}",workload="web"', self.trace.history())]
        if cpu:
            self.cpu_series(history)
        self.exporter = Exporter(self.families)
        self.prometheus = Prometheus(self.dir / "prometheus", self.exporter, history, scrape)
        self.proxy = Proxy(self.prometheus.url)
        self.adapter = lambda t: {"external": {f"{self.ns}/rps": round(self.trace.at(t), 3)}}
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.feed, self.watch)]
        for t in self.threads:
            t.start()

    def cpu_series(self, history):
        """CPU seconds of the pods of `web`, as cAdvisor counts them: 1 core per 1,000 queries/s; and of a `web-api` beside it."""
        points, total = [], 0.0
        for t, load in self.trace.history():
            points.append((t, total))
            total += load / 1000 * 10
        base, start = total, self.trace.start

        def counter(t):
            steps = int((t - start) // 10)
            whole = sum(self.trace.at(start + 10 * i) for i in range(steps)) / 100
            return base + whole + self.trace.at(start + 10 * steps) / 1000 * ((t - start) % 10)

        ours = f'namespace="{self.ns}",pod="web-5d4f8c7b9-x2x4v",container="app"'
        other = f'namespace="{self.ns}",pod="web-api-7c6d9f5b4-q8w2z",container="app"'
        name = "container_cpu_usage_seconds_total"
        history[name] = [(ours, points), (other, [(t, v * 9) for t, v in points])]
        self.families[name] = [(ours, counter), (other, lambda t: 9 * counter(t))]

    # ---- threads -----------------------------------------------------------------------------------------------------

    def feed(self):
        """What a metrics adapter would tell the HPA controller."""
        while not self.closing.wait(self.feed_seconds):
            try:
                self.bed.stub(self.adapter(time.time()))
            except OSError:
                pass

    def watch(self):
        """(second, HPA minReplicas, spec.replicas, readyReplicas) about twice a second; gaps where the API is away."""
        while not self.closing.wait(0.4):
            try:
                d = self.kube.get("Deployment", self.ns, "web")
                floor = self.kube.get(HPA, self.ns, "web")["spec"].get("minReplicas")
                self.timeline.append((time.time(), floor, d["spec"]["replicas"], d["status"].get("readyReplicas", 0)))
            except Exception:  # no such objects in this scenario, or the API server is stopped on purpose
                pass

    # ---- objects -----------------------------------------------------------------------------------------------------

    def deployment(self, replicas, annotations=None, name="web", kind="Deployment", cpu="500m", pod=None,
                   start_seconds=START_SECONDS):
        delay = {f"pod-{stage}.stage.kwok.x-k8s.io/{k}": f"{v}s" for stage, (low, high) in
                 {"create": (0, 0), "ready": start_seconds, "delete": (0, 0)}.items()
                 for k, v in (("delay", low), ("jitter-delay", high))}
        container = {"name": "app", "image": "web:1", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
        return self.kube.create({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": name, "namespace": self.ns, "annotations": annotations or {}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     **({"serviceName": name} if kind == "StatefulSet" else {}),
                     "template": {"metadata": {"labels": {"app": name}, "annotations": delay},
                                  "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **(pod or {})}}}})

    def hpa_object(self, minimum=2, maximum=40, metric=None):
        metric = metric or {"type": "External", "external": {
            "metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": str(CAPACITY)}}}
        return {"apiVersion": "autoscaling/v2", "kind": HPA, "metadata": {"name": "web", "namespace": self.ns},
                "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                         "minReplicas": minimum, "maxReplicas": maximum, "metrics": [metric]}}

    def hpa(self, **how):
        """The user's HPA, written by server-side apply as a GitOps controller does it."""
        return self.kube.apply(self.hpa_object(**how))

    def web(self, mode="act", replicas=None, **how):
        """The usual workload: Deployment with the replicas that its load needs now, HPA on the same load, opted in."""
        replicas = replicas or self.need(time.time())
        self.deployment(replicas, {"forescale.dev/mode": mode})
        self.hpa(**how)
        self.until_ready(replicas)

    def until_ready(self, count, seconds=90):
        until(seconds, f"{count} replicas of web are Ready", lambda: self.replicas()[1] >= 0.8 * count)  # HPA may take some away meanwhile

    # ---- the program -------------------------------------------------------------------------------------------------

    def settings(self, mode):
        return {"mode": mode, "workloads.step": "10s", "workloads.history": "3d", "workloads.lead_time": "30s",
                "sources.main.kind": "prometheus", "sources.main.url": self.proxy.url, "lease.duration": "6s",
                "queries.metrics.rps.query": 'sum(rps{namespace="{namespace}",workload="{workload}"})'}

    def forescale(self, mode="act", kubeconfig=None, ready=True, **settings):
        copy = Forescale(self.dir, kubeconfig or self.bed.service_account(), self.bed.config,
                         {**self.settings(mode), **{k.replace("__", "."): v for k, v in settings.items()}})
        self.copies.append(copy)
        return copy.ready() if ready else copy

    def command(self, *args):
        """A subcommand (leadtime, lint) as an administrator of the cluster runs it."""
        env = dict(os.environ, KUBECONFIG=str(self.bed.dir / "pki/admin.kubeconfig"))
        return subprocess.run([str(binary()), *args], env=env, capture_output=True, text=True, timeout=60)

    # ---- looks -------------------------------------------------------------------------------------------------------

    def need(self, t):
        return -(-int(self.trace.at(t)) // CAPACITY)

    def floor(self):
        return self.kube.get(HPA, self.ns, "web")["spec"].get("minReplicas")

    def replicas(self, name="web", kind="Deployment"):
        o = self.kube.get(kind, self.ns, name)
        return o["spec"]["replicas"], o.get("status", {}).get("readyReplicas", 0)

    def managers(self, kind, name="web"):
        """(manager, operation, subresource) -> names of the owned fields below spec and metadata, as text."""
        fields = self.kube.get(kind, self.ns, name)["metadata"].get("managedFields", [])
        return {(f["manager"], f["operation"], f.get("subresource", "")): f for f in fields}

    def events(self, *words, since=0.0):
        """Our events in this namespace whose reason and message contain all words, whatever their case."""
        found = []
        for e in self.kube.list("Event", self.ns):
            source = (e.get("reportingComponent") or "") + (e.get("source", {}).get("component") or "")
            text = f"{e.get('reason')} {e.get('message')}"
            if "forescale" in source and all(w.lower() in text.lower() for w in words) and stamp(e) >= since - 1:
                found.append(e)
        return found

    def lowest_floor(self, since):
        return min((f for t, f, _, _ in self.timeline if t >= since and f is not None), default=None)

    def close(self):
        """Ends everything; a copy that doesn't end cleanly fails the scenario."""
        failure = None
        for copy in self.copies:
            try:
                copy.stop()
            except Exception as e:
                failure = failure or e
        self.closing.set()
        for t in self.threads:
            t.join(20)
        self.prometheus.stop()
        self.proxy.close()
        self.exporter.close()
        self.bed.stub({"external": {f"{self.ns}/rps": None}, "cpu": {f"{self.ns}/web": None}, "fail": None})
        for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            for o in self.kube.list(kind, self.ns):
                self.kube.delete(kind, self.ns, o["metadata"]["name"])
        self.kube.delete("Namespace", None, self.ns)
        if self.bed.has == "karpenter":
            self.nodes_gone()
        if failure:
            raise failure


def stamp(event):
    """The newest time of an event, in seconds."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return seconds(text)


__all__ = ["World", "CAPACITY", "check", "until", "seconds", "stamp"]
