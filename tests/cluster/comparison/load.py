"""The load of the comparison: working days of a recorded trace on a squeezed clock, with a lunch peak in each of them and a
surprise in the last.

Minutes last 60 s / SCALE. The morning's ramp is recorded: 6,500 to 10,700 queries/s in about eight minutes from
06:56. Lunch is added, shortly after it so that the quiet hours between need not be waited for: 45 % more within two minutes,
for six, each day a little earlier or later, higher or lower. The surprise is in no day of the history: half as much again
within a minute.
The history is the seven days before, over and over; the day that is played is not among them.
"""
import os
import random
import time

from harness.load import Trace

SCALE = int(os.environ.get("BENCH_SCALE", "6"))  # how much faster than a cluster's clock; a divisor of 60
STEP = 60 // SCALE  # seconds for one minute of the trace
PAST = 14 if SCALE == 1 else 18  # days of the trace before the played one
CAPACITY = 160  # queries/s that one replica can serve
TARGET = 128  # queries/s a replica that every policy aims at: 80 % of it
BEGIN, END = 6 * 60 + 46, 7 * 60 + 54  # minutes of the day
EVENTS = {  # name -> (first, last minute): where new need is looked at, until the need has been met or is over
    "ramp": (6 * 60 + 54, 7 * 60 + 20),
    "lunch": (7 * 60 + 20, 7 * 60 + 40),
    "surprise": (7 * 60 + 43, 7 * 60 + 54),
}
LUNCH, SURPRISE = 7 * 60 + 22, 7 * 60 + 44  # when they begin


def bump(minute, start, rise, flat, fall):
    """0 before and after, 1 on the plateau, straight lines between."""
    x = minute - start
    if x < rise:
        return max(0.0, x / rise)
    return 1.0 if x < rise + flat else max(0.0, 1 - (x - rise - flat) / fall)


class Days(Trace):
    def __init__(self, start=None):
        super().__init__(f"{BEGIN // 60:02}:{BEGIN % 60:02}", start or time.time() // STEP * STEP)
        chance = random.Random(6)
        self.lunches = [(LUNCH + chance.choice((-1, 0, 0, 1)), 0.45 + chance.uniform(-0.04, 0.04)) for _ in range(7)]
        self.lunches.append((LUNCH, 0.45))
        self.live_day = self.index // 1440

    def recorded(self, t):
        day, minute = divmod(self.index + int((t - self.start) // STEP), 1440)
        live = day >= self.live_day
        which = 7 if live else (day - self.live_day) % 7
        start, height = self.lunches[which]
        more = height * bump(minute, start, 2, 6, 3)
        if live:
            more += 0.50 * bump(minute, SURPRISE, 1, 8, 1)
        return self.values[which * 1440 + minute] * (1 + more)

    def history(self):
        return [(t, self.recorded(t)) for t in range(self.start - PAST * 1440 * STEP, self.start, STEP)]

    def second(self, minute):
        """When a minute of the played day begins, in seconds since 1970."""
        return self.start + (minute - BEGIN) * STEP
