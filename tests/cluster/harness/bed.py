"""One bed of the real control plane, as a scenario sees it."""
import itertools, json, os, pathlib, re, signal, socket, subprocess, sys, threading, urllib.request

from .kinds import serve
from .kube import Kube

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "forescale"
NAMESPACE = ACCOUNT = "forescale"
BIN = pathlib.Path(os.environ.get("BED_BIN", CACHE / "bed/bin"))


PORTS = itertools.count(20600 + 50 * (os.getpid() % 160))  # below Linux's ephemeral range; runs side by side start apart
PORTS_LOCK = threading.Lock()


def free_ports(count=1):
    """The first of `count` consecutive ports that nobody listens on, and that nobody here was given before."""
    with PORTS_LOCK:
        run = 0
        for port in PORTS:
            if port > 32000:
                raise OSError(f"no {count} free ports")
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    run = 0
                    continue
            run += 1
            if run == count:
                return port - count + 1


class Bed:
    def __init__(self, state, port):
        self.dir, self.port = pathlib.Path(state), port
        self.server = f"https://127.0.0.1:{port + 2}"
        self.env = dict(os.environ, BED_DIR=str(self.dir), BED_PORT=str(port), BED_BIN=str(BIN))
        self.has = ""  # karpenter or keda, where it runs

    def bed(self, *args):
        r = subprocess.run([sys.executable, str(HERE / "bed"), *args], env=self.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode:
            raise RuntimeError(f"bed {' '.join(args)}: {r.stdout}")
        return r.stdout

    def up(self, *how):
        text = self.bed("up", "--fast", *how)
        self.ca = self.dir / "pki/ca.crt"
        token = (self.dir / "pki/tokens.csv").read_text().split(",")[0]
        self.kube = Kube(self.server, token, self.ca)
        self.kubectl("apply", "--server-side", "-f", str(HERE / "manifests/nodes.yaml"))
        serve(self.kubectl, BIN / "keda-crds")
        self.deploy()
        return text.strip()

    def deploy(self):
        """deploy/manifests as a user installs them; the program then runs outside with that account's token and config."""
        self.kubectl("apply", "--validate=strict", "-k", str(ROOT / "deploy/manifests"))
        config, = (m for m in self.kube.list("ConfigMap", NAMESPACE) if any(k.endswith(".toml") for k in m["data"]))
        text, = (v for k, v in config["data"].items() if k.endswith(".toml"))
        self.config = self.dir / "forescale.toml"
        self.config.write_text(text)

    def service_account(self):
        """A kubeconfig with exactly the rights of the deployed service account."""
        token = self.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration=2h").strip()
        return self.kubeconfig(self.dir / "forescale.kubeconfig", ACCOUNT, token)

    def provide(self, needs):
        """Starts what a scenario needs beside the plain control plane, and ends what it doesn't."""
        if self.has != needs:
            if self.has:
                self.bed("stop", self.has)
            if needs:
                self.bed("start", needs)
            self.has = needs

    def restart(self, name, *env):
        """Ends Karpenter or KEDA and starts it with other environment variables."""
        self.bed("stop", name)
        self.bed("start", name, *(a for e in env for a in ("--env", e)))

    def down(self):
        self.bed("down", "--keep")

    def kubectl(self, *args, stdin=None):
        r = subprocess.run([str(BIN / "kubectl"), "--kubeconfig", str(self.dir / "pki/admin.kubeconfig"), *args],
                           input=stdin, capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError(f"kubectl {' '.join(args)}: {r.stderr}")
        return r.stdout

    def kubeconfig(self, path, user, token):
        """Writes a kubeconfig for somebody with this token."""
        cluster = {"server": self.server, "certificate-authority": str(self.ca)}
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bed",
            "clusters": [{"name": "bed", "cluster": cluster}], "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user, "namespace": "default"}}]}))
        path.chmod(0o600)
        return path

    def cpu_query(self):
        """The query template for CPU that the program ships."""
        text = (ROOT / "config/default.toml").read_text()
        return re.search(r"^cpu = \'\'\'(.*)\'\'\'$", text, re.M)[1]

    def stub(self, state):
        """Merges into what metrics.k8s.io and external.metrics.k8s.io say."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.port + 6}/control", json.dumps(state).encode(), method="PATCH")
        urllib.request.urlopen(request, timeout=5, context=self.kube.tls).close()

    def signal(self, process, sig):
        """SIGSTOP or SIGCONT for one of the bed's own processes."""
        os.kill(json.loads((self.dir / "pids.json").read_text())[process]["pid"], sig)

    def freeze(self, process):
        self.signal(process, signal.SIGSTOP)

    def thaw(self, process):
        self.signal(process, signal.SIGCONT)
