"""The program under test, as a process with exactly the rights and the environment that deploy/manifests give it."""
import itertools, json, os, pathlib, re, signal, subprocess, time, urllib.request

from .bed import ROOT, free_ports
from .wait import Failed, until


def binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return pathlib.Path(os.environ.get("FORESCALE_BIN", target / "debug/forescale"))


def deployed():
    """The plain variables of the container: those of the allocator decide what is resident."""
    text = (ROOT / "deploy/manifests/deployment.yaml").read_text()
    return dict(re.findall(r'- \{name: (\w+), value: "?([^"}]+)"?\}', text))


class Forescale:
    """One copy. `settings` are `--set` overrides of the deployed config."""
    numbers = itertools.count(1)

    def __init__(self, folder, kubeconfig, config, settings):
        self.name = f"forescale-{next(Forescale.numbers)}"
        self.dir, self.log = pathlib.Path(folder), pathlib.Path(folder) / f"{self.name}.log"
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {**settings, "server.listen": f"127.0.0.1:{self.port}",
                    "decision_log.path": str(self.dir / f"{self.name}.decisions.jsonl")}
        self.argv = ["run", "--config", str(config), *(a for k, v in settings.items() for a in ("--set", f"{k}={v}"))]
        self.env = dict(os.environ, **deployed(), KUBECONFIG=str(kubeconfig), POD_NAME=self.name, RUST_BACKTRACE="1")
        self.started = time.time()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(binary()), *self.argv], env=self.env, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)

    def command(self, *args):
        """Another subcommand (status, explain, release) with the same rights and config."""
        return subprocess.run([str(binary()), *args], env=self.env, capture_output=True, text=True, timeout=60)

    def get(self, path, timeout=5):
        with urllib.request.urlopen(self.url + path, timeout=timeout) as r:
            return r.read().decode()

    def ready(self, seconds=120):
        def probe():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
            return self.get("/readyz") is not None
        until(seconds, f"{self.name} is ready", probe)
        return self

    def state(self):
        return json.loads(self.get("/statez"))

    def workload(self, ns):
        """What /statez says of the one workload of a namespace; None before it is known."""
        return next((w for w in self.state()["workloads"] if w["workload"]["namespace"] == ns), None)

    def sources(self, ns):
        """The states of the sources of a workload's metrics: fresh, stale, failing, or doubted."""
        return ["doubted" if m["doubted"] is not None else m["source"]["state"] for m in (self.workload(ns) or {}).get("metrics", [])]

    def metric(self, name, **labels):
        """Sum of the samples of one metric whose labels contain these; None where there are none."""
        found = None
        for line in self.get("/metrics").splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name and all(f'{k}="{v}"' in head for k, v in labels.items()):
                found = (found or 0.0) + float(value)
        return found

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def alive(self):
        return self.process.poll() is None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=15):
        """SIGTERM; the promise is exit 0 (within 5 s on an idle machine)."""
        if not self.alive():
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} did not end within {seconds} s of SIGTERM") from None
        if code != 0:
            raise Failed(f"{self.name} ended with {code} after SIGTERM: {self.tail()}")
