"""A real Prometheus with a recorded past and a live present, and a proxy in front of it that plays its bad days."""
import http.server, json, pathlib, signal, subprocess, threading, urllib.error, urllib.parse, urllib.request

from .bed import free_ports
from .wait import until


class Prometheus:
    def __init__(self, folder, exporter, history, scrape="1s"):
        """history: name -> list of (labels, [(second, value)]); the names end up in blocks made by promtool."""
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True)
        self.data = self.dir / "data"
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        (self.dir / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": scrape, "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "load", "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
                # so that the live series are the very ones of the history
                "metric_relabel_configs": [{"action": "labeldrop", "regex": "job|instance"}]}]}))
        self.fill(history)
        self.start()

    def fill(self, history):
        text = self.dir / "history.om"
        with open(text, "w") as f:
            for name, series in history.items():
                family = name[:-6] if name.endswith("_total") else name
                f.write(f"# TYPE {family} {'counter' if family != name else 'gauge'}\n")
                for labels, points in series:
                    f.writelines(f"{name}{{{labels}}} {v:.6f} {t}\n" for t, v in points)
            f.write("# EOF\n")
        # one block and not one for every two hours: each reads all of the text and sets 512 MB aside while it is made
        r = subprocess.run(["promtool", "tsdb", "create-blocks-from", "--max-block-duration=486h", "openmetrics", "-q",
                            str(text), str(self.data)], capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError(f"promtool: {r.stderr}")
        text.unlink()

    def start(self):
        log = open(self.dir / "prometheus.log", "ab")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.data}",
             "--storage.tsdb.retention.time=60d", "--storage.tsdb.max-block-chunk-segment-size=16MB",
             "--storage.tsdb.wal-segment-size=16MB", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        until(60, "Prometheus is ready", lambda: self.process.poll() is None
              and urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).status == 200)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def query(self, promql):
        url = f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": promql})
        return json.load(urllib.request.urlopen(url, timeout=10))["data"]["result"]


class Proxy:
    """Forwards to Prometheus; `mode` may be changed at any time: pass, error (500), empty (no series), slow (20 s late)."""
    LATE = 20

    def __init__(self, upstream):
        self.mode, self.seen, self.closing = "pass", 0, threading.Event()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, code, body, kind="application/json"):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle_any(self):
                proxy.seen += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                if proxy.mode == "error":
                    return self.answer(500, b'{"status":"error","errorType":"internal","error":"the store is on fire"}')
                if proxy.mode == "empty":
                    kind = "matrix" if "query_range" in self.path else "vector"
                    return self.answer(200, json.dumps({"status": "success", "data": {"resultType": kind, "result": []}}).encode())
                if proxy.mode == "slow":
                    proxy.closing.wait(proxy.LATE)
                headers = {k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept", "authorization")}
                request = urllib.request.Request(upstream + self.path, body, headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=60) as r:
                        self.answer(r.status, r.read(), r.headers.get("Content-Type", "application/json"))
                except urllib.error.HTTPError as e:
                    self.answer(e.code, e.read(), e.headers.get("Content-Type", "application/json"))
                except OSError as e:
                    self.answer(502, json.dumps({"status": "error", "errorType": "proxy", "error": str(e)}).encode())

            def do_GET(self):
                try:
                    self.handle_any()
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the caller gave up waiting

            do_POST = do_GET

            def log_message(self, *a):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
