"""Custom resources of others."""
import json

from .wait import until


def serve(kubectl, crds):
    """Creates the kinds of a folder and waits until they are served. Not with `kubectl wait`: it gives up on one that has no
    status yet."""
    kubectl("apply", "--server-side", "-f", str(crds))

    def established():
        found = json.loads(kubectl("get", "-f", str(crds), "-o", "json"))["items"]
        conditions = [(crd.get("status") or {}).get("conditions") or [] for crd in found]
        return all(any(c["type"] == "Established" and c["status"] == "True" for c in of) for of in conditions)

    until(60, f"the kinds of {crds} are served", established)
