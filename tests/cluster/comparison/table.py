"""Results as the tables of docs/latency.md."""
from .policies import POLICIES

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def number(v, digits=1):
    return "–" if v is None else f"{v:.{digits}f}"


def triple(e):
    return " / ".join(number(e.get(f"p{q}")) for q in (50, 95, 99))


def table(rows):
    if not rows:
        return "no results yet"
    lines = ["| policy | all | ramp | lunch | surprise | its pods within the pool | late pod-seconds | node-hours | NodeClaims bought | disrupted (in the ramp) |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for name, r in rows.items():
        e, within = r["events"], r["events"]["within"]
        pool = f"{triple(within)} ({within['needed']} of {e['surprise']['needed']})" if r["slots"] else "–"
        lines.append(f"| {POLICIES[name].about} | {triple(r['all'])} | {triple(e['ramp'])} | {triple(e['lunch'])} | {triple(e['surprise'])} "
                     f"| {pool} | {r['late_pod_seconds']:.0f} | {r['node_seconds'] / 3600:.2f} | {r['claims_bought']} "
                     f"| {r['disrupted']} ({r['disrupted_in_ramp']}) |")
    return "\n".join(lines)
