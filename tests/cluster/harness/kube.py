"""A small client of the Kubernetes API: JSON in, JSON out, raw calls, so that a test sees exactly what it sends."""
import json, ssl, time, urllib.error, urllib.parse, urllib.request

PATHS = {  # kind -> (prefix, plural)
    "Namespace": ("/api/v1", "namespaces"), "Node": ("/api/v1", "nodes"), "Pod": ("/api/v1", "pods"),
    "Event": ("/api/v1", "events"), "ResourceQuota": ("/api/v1", "resourcequotas"), "ConfigMap": ("/api/v1", "configmaps"),
    "Deployment": ("/apis/apps/v1", "deployments"), "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"), "ScaledObject": ("/apis/keda.sh/v1alpha1", "scaledobjects"),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "PodTemplate": ("/api/v1", "podtemplates"),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses"), "Service": ("/api/v1", "services"),
    "NodePool": ("/apis/karpenter.sh/v1", "nodepools"), "NodeClaim": ("/apis/karpenter.sh/v1", "nodeclaims"),
    "KWOKNodeClass": ("/apis/karpenter.kwok.sh/v1alpha1", "kwoknodeclasses"),
    "CapacityBuffer": ("/apis/autoscaling.x-k8s.io/v1beta1", "capacitybuffers"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
CLUSTER_WIDE = ("Namespace", "Node", "ClusterRole", "PriorityClass", "NodePool", "NodeClaim", "KWOKNodeClass", "CustomResourceDefinition")
HPA = "HorizontalPodAutoscaler"


class ApiError(Exception):
    def __init__(self, code, body):
        super().__init__(f"HTTP {code}: {body[:600]}")
        self.code = code


class Kube:
    def __init__(self, server, token, ca):
        self.server, self.token, self.ca = server, token, ca
        self.tls = ssl.create_default_context(cafile=ca)

    def call(self, method, path, body=None, kind="application/json", query=None, timeout=15):
        url = self.server + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Authorization": f"Bearer {self.token}", "Content-Type": kind}, method=method)
        for attempt in range(20):
            try:
                with urllib.request.urlopen(request, timeout=timeout, context=self.tls) as r:
                    return json.load(r)
            except urllib.error.HTTPError as e:
                # 429: the storage of a new custom resource is being set up, or the server is busy
                if e.code != 429 or attempt == 19:
                    raise ApiError(e.code, e.read().decode(errors="replace")) from None
            time.sleep(0.5)

    @staticmethod
    def path(kind, ns=None, name=None, sub=None):
        prefix, plural = PATHS[kind]
        middle = "" if kind in CLUSTER_WIDE else f"/namespaces/{ns}"
        return f"{prefix}{middle}/{plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")

    def get(self, kind, ns, name, sub=None):
        return self.call("GET", self.path(kind, ns, name, sub))

    def list(self, kind, ns, **query):
        return self.call("GET", self.path(kind, ns), query=query)["items"]

    def create(self, obj, manager="user"):
        return self.call("POST", self.path(obj["kind"], obj["metadata"].get("namespace")), obj,
                         query={"fieldManager": manager, "fieldValidation": "Strict"})

    def apply(self, obj, manager="gitops", force=False):
        """Server-side apply, as a GitOps controller does it."""
        m = obj["metadata"]
        return self.call("PATCH", self.path(obj["kind"], m.get("namespace"), m["name"]), obj, "application/apply-patch+yaml",
                         {"fieldManager": manager, "fieldValidation": "Strict", **({"force": "true"} if force else {})})

    def merge(self, kind, ns, name, patch, manager="user", sub=None):
        return self.call("PATCH", self.path(kind, ns, name, sub), patch, "application/merge-patch+json",
                         {"fieldManager": manager, "fieldValidation": "Strict"})

    def annotate(self, kind, ns, name, annotations):
        return self.merge(kind, ns, name, {"metadata": {"annotations": annotations}})

    def delete(self, kind, ns, name):
        try:
            return self.call("DELETE", self.path(kind, ns, name))
        except ApiError as e:
            if e.code != 404:
                raise
