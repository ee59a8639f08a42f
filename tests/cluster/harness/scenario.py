"""The list of scenarios: every function that is marked, in the order of its longest first."""
import collections

Scenario = collections.namedtuple("Scenario", "name about run minute about_seconds cpu needs")
ALL = {}


def scenario(minute, about_seconds, cpu=False, needs=""):
    """Marks a scenario. `minute` is the trace's time of day at which it starts. Its docstring's first line says what it
    proves, and what the function returns (text: what it measured) is printed behind it. `about_seconds` lets the longest
    start first; `cpu`: the load also has CPU seconds; `needs`: "karpenter" or "keda" on the bed, else neither is there."""
    def mark(function):
        about = (function.__doc__ or "").strip().splitlines()[0]
        ALL[function.__name__] = Scenario(function.__name__, about, function, minute, about_seconds, cpu, needs)
        return function
    return mark
