"""The load of a scenario: a recorded trace on a squeezed clock, and where it is served from.

The trace is the query rate of a production MongoDB cluster (config/demo/README.md), eight working days of minutes. Here
every minute lasts 10 s, so that a day takes four hours and six of them make the 24 h that seasons are looked for in. Its
sharp rises (6,500 to 10,600 queries/s at 07:05) and falls (9,000 to 6,300 at 09:06) then take one or two steps.
"""
import csv, gzip, http.server, pathlib, threading, time

TRACE = pathlib.Path(__file__).resolve().parents[3] / "config/demo/ms_mongo_app1_1m.csv.gz"
STEP = 10  # seconds on the bed's clock for one minute of the trace
WORKDAYS = ["04-25", "04-26", "04-27", "04-30", "05-01", "05-02", "05-03", "05-04"]
HISTORY_DAYS = 18  # of the trace: 3 days on the bed's clock


def workdays():
    rows = {}
    with gzip.open(TRACE, "rt") as f:
        for row in csv.DictReader(f):
            rows.setdefault(row["timestamp"][5:10], []).append(float(row["value"]))
    return [v for day in WORKDAYS for v in rows[day]]


class Trace:
    """load(t) at wall-clock second t; `start` is now, at minute `minute` (hh:mm) of the last working day."""

    def __init__(self, minute, start=None):
        self.values = workdays()
        self.start = (int(start or time.time()) // STEP) * STEP
        hours, minutes = minute.split(":")
        self.index = 7 * 1440 + int(hours) * 60 + int(minutes)
        self.now = None  # a function t -> load that replaces the recorded one from now on

    def recorded(self, t):
        return self.values[(self.index + int((t - self.start) // STEP)) % len(self.values)]

    def at(self, t):
        return self.now(t) if self.now else self.recorded(t)

    def jump(self, up):
        """The first second after the start at which the recorded load is a quarter above (or below) what it was 10 s before."""
        t = self.start + STEP
        while True:
            before, after = self.recorded(t - STEP), self.recorded(t)
            if (after > 1.25 * before) if up else (after < 0.8 * before):
                return t
            t += STEP

    def history(self):
        """(second, load) of the past, oldest first."""
        first = self.start - HISTORY_DAYS * 1440 * STEP
        return [(t, self.recorded(t)) for t in range(first, self.start, STEP)]


class Exporter:
    """Serves gauges and counters to Prometheus. `families` is name -> list of (labels, function of t)."""

    def __init__(self, families):
        self.families = families
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = exporter.text(time.time()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *a):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def text(self, t):
        lines = []
        for name, series in self.families.items():
            lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
            lines += [f"{name}{{{labels}}} {value(t):.6f}" for labels, value in series]
        return "\n".join(lines) + "\n"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
