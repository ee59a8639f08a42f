#!/usr/bin/env python3
"""One full fit of the same history by others and by Forescale, side by side in one run, on one core.

  python3 -m venv venv && venv/bin/pip install statsforecast prophet pandas
  cargo build --release && venv/bin/python benches/comparison/fit.py --forescale target/release/forescale [TRACE.csv[.gz]]

The others get what they are usually given: 5-minute maxima, seasons of a day and a week. Forescale gets the minutes, and walks
through all of them: 22 experts, their mixture at every level and three horizons, calibration, hourly MSTL and screening.
"""
import argparse, json, logging, os, pathlib, subprocess, sys, time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1", NIXTLA_ID_AS_COL="1")
DEMO = pathlib.Path(__file__).resolve().parents[2] / "config/demo/ms_mongo_app1_1m.csv.gz"


def history(path):
    import pandas as pd
    d = pd.read_csv(path, parse_dates=["timestamp"]).set_index("timestamp")["value"]
    d = d.resample("5min").max().interpolate()
    return pd.DataFrame({"unique_id": "load", "ds": d.index.tz_localize(None), "y": d.to_numpy()})


def measured(name, fit):
    """Seconds of processor time of a fit; the second one, so that nothing is compiled meanwhile."""
    try:
        fit()
        t0 = time.process_time(), sum(os.times()[2:4])
        fit()
        return {"name": name, "seconds": round(time.process_time() - t0[0] + sum(os.times()[2:4]) - t0[1], 2)}
    except ImportError as e:
        return {"name": name, "error": f"not installed: {e}"}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("trace", nargs="?", default=str(DEMO))
    ap.add_argument("--forescale", default="target/release/forescale")
    ap.add_argument("--json", action="store_true")
    o = ap.parse_args()
    logging.disable(logging.WARNING)
    frame = history(o.trace)

    def statsforecast():
        from statsforecast import StatsForecast
        from statsforecast.models import MSTL, AutoETS
        seasons = [288, 2016] if len(frame) >= 2 * 2016 else [288]
        StatsForecast(models=[MSTL(season_length=seasons, trend_forecaster=AutoETS(model="ZZN"))], freq="5min", n_jobs=1).fit(frame)

    def prophet():
        from prophet import Prophet
        Prophet(daily_seasonality=True, weekly_seasonality=True).fit(frame[["ds", "y"]])

    def forescale():
        subprocess.run([o.forescale, "forecast", "--history", o.trace, "--json"], check=True, stdout=subprocess.DEVNULL)

    rows = [measured("statsforecast MSTL + AutoETS", statsforecast), measured("Prophet", prophet), measured("forescale, everything", forescale)]
    if o.json:
        print(json.dumps({"points": len(frame), "fits": rows}))
        return
    print(f"{len(frame)} points of 5 minutes")
    for row in rows:
        print(f"{row['name']:30} {row.get('seconds', row.get('error'))}")


if __name__ == "__main__":
    sys.exit(main())
