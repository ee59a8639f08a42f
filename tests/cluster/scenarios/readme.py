"""The README's commands, as they stand there."""
import os, shlex, subprocess, time

from harness.bed import BIN, NAMESPACE, ROOT
from harness.forescale import binary
from harness.kube import HPA
from harness.scenario import scenario
from harness.wait import check, hold, until

LEDGER = "forescale.dev/ledger"


def commands(info):
    """The lines of the fenced blocks of README.md that carry this info string."""
    found, block = [], None
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith("```"):
            block = line[3:] if block is None else None
        elif block == info:
            found.append(line)
    return found


@scenario(minute="06:42", about_seconds=90)
def the_readme_works(world):
    """Every command of the README's `sh cluster` blocks does what the text says, to the end of the installation; `leadtime` tells how long pods took."""
    try:
        play(world)
    finally:
        # what was uninstalled, for the scenarios to come
        world.bed.deploy()
        world.bed.kubectl("delete", "configmap", "forescale-stop", "-n", NAMESPACE, "--ignore-not-found")


def play(world):
    world.deployment(world.need(time.time()))
    world.hpa()
    world.until_ready(world.need(time.time()))
    copy = world.forescale()
    env = dict(os.environ, KUBECONFIG=str(world.bed.dir / "pki/admin.kubeconfig"), FORESCALE_URL=copy.url)

    def shell(command):
        program, *words = shlex.split(command.replace("default/web", f"{world.ns}/web").replace("-n default", f"-n {world.ns}"))
        path = {"kubectl": str(BIN / "kubectl"), "forescale": str(binary())}[program]
        here = ["-n", world.ns] if program == "kubectl" and "annotate" in words else []
        done = subprocess.run([path, *here, *words], env=env, cwd=ROOT, capture_output=True, text=True, timeout=90)
        check(done.returncode == 0, f"{command}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def raised():
        until(120, "the floor rises", lambda: (world.floor() or 0) > 2)

    stopped = False
    for command in commands("sh cluster"):
        if " create configmap forescale-stop " in command:
            said = shell("forescale leadtime default/web")
            check("warm-node" in said, said)
            world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": "act"})
            raised()
            stopped = True
        elif command.startswith("forescale release") and not stopped:
            world.kube.annotate("Deployment", world.ns, "web", {"forescale.dev/mode": None})
        said = shell(command)
        if command.endswith("mode=observe"):
            until(60, "the workload is decided on", lambda: (copy.workload(world.ns) or {}).get("decision"))
        elif command == "forescale status":
            check("web" in said and "observe" in said, said)
        elif command.startswith("forescale explain"):
            check("minReplicas of HPA web" in said, said)
        elif command.endswith("mode=act"):
            raised()
        elif command.startswith("forescale release"):
            until(30, "the user's value is back", lambda: world.floor() == 2)
            annotations = world.kube.get(HPA, world.ns, "web")["metadata"].get("annotations") or {}
            check(LEDGER not in annotations, f"the ledger is still there: {annotations}")
            if stopped:
                hold(10, "nothing is raised again", lambda: world.floor() == 2)
    check(stopped, "the README says how to uninstall")
    left = world.bed.kubectl("get", "namespace,clusterrole,clusterrolebinding,priorityclass", "-o", "name")
    check("forescale" not in left, f"left over: {left}")
