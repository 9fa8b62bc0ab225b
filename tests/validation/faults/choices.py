"""Faults in the wing that decides."""

from tests.validation.faults import faults

CHOICES = [
    *faults(
        "decisions/goal.py",
        "decisions/test_recommend.py",
        [
            (
                "self.below * np.maximum(low - values, 0.0) + self.above * np.maximum(values - high, 0.0)",
                "self.above * np.maximum(low - values, 0.0) + self.below * np.maximum(values - high, 0.0)",
            ),
            ("later.max() > own(cap.most) * (1 + 1e-9)", "later.max() > 2 * own(cap.most) * (1 + 1e-9)"),
            ("moved = np.abs(later - _running(twin, name))", "moved = np.abs(later)"),
            ("count = math.floor((high - low) / step + 1e-9) + 1", "count = math.floor((high - low) / step + 1e-9)"),
        ],
    ),
    *faults(
        "decisions/recommend.py",
        "decisions/test_recommend.py",
        [
            ("if not one.probability + 2.0 * one.mcse <= most:", "if not one.probability <= 2.0 * most:"),
            ("key=lambda o: (o.cost, o.name))", "key=lambda o: (-o.cost, o.name))"),
            ("if worst.failed <= _MOST_FAILED * worst.draws:", "if worst.failed <= worst.draws:"),
            ("if event.low else -values.max(axis=-1))", "if event.low else -values.min(axis=-1))"),
        ],
    ),
    *faults(
        "decisions/abstention.py",
        "decisions/test_recommend.py",
        [("    if age <= oldest:\n", "    if age <= 10.0 * oldest:\n")],
    ),
    *faults(
        "decisions/paired.py",
        "decisions/test_outcomes.py",
        [
            ("bool(-margin < inner[0] and inner[1] < margin)", "bool(-margin < inner[0] or inner[1] < margin)"),
            ("means, [(1 - ci_prob) / 2, (1 + ci_prob) / 2]", "means, [1 - ci_prob, ci_prob]"),
            ("np.sqrt(share * (1 - share) / n + spread / (4 * n))", "np.sqrt(share * (1 - share) / n)"),
        ],
    ),
    *faults(
        "decisions/outcomes.py",
        "decisions/test_outcomes.py",
        [
            ("(values >= low) & (values <= high), axis=1)", "(values > low) & (values < high), axis=1)"),
            ("side * (course.truth[name] - limit), 0.0), axis=1) * course.minutes / 60.0",
             "side * (course.truth[name] - limit), 0.0), axis=1) * course.minutes"),
            ("course.measured.sum(axis=1) * 24.0 / course.hours", "course.measured.sum(axis=1) / course.hours"),
            ("return np.median(np.abs(errors - bias[:, None]), axis=1)", "return np.median(np.abs(errors), axis=1)"),
        ],
    ),
    *faults(
        "decisions/bedside.py",
        "decisions/test_protocols.py",
        [("return 60.0 * (self.values[0] - self.values[1])", "return 60.0 * (self.values[1] - self.values[0])")],
    ),
    *faults(
        "decisions/protocols/respiratory/ardsnet_low.py",
        "decisions/test_protocols.py",
        [("(0.8, 14),\n", "(0.8, 16),\n")],
    ),
    *faults(
        "decisions/mismatch.py",
        "decisions/test_outcomes.py decisions/test_trial.py",
        [("1.0 - (1.0 - world.delivery.undelivered) * (1.0 - self.undelivered)", "world.delivery.undelivered")],
    ),
    *faults(
        "decisions/abstention.py",
        "decisions/test_recommend.py",
        [("verdict = NOT_DETERMINED if name in never else", "verdict =")],
    ),
    *faults(
        "decisions/own_errors.py",
        "decisions/test_recommend.py",
        [
            ("len(mine) >= ENOUGH and", "len(mine) >= 0 and"),
            ("transported(values[..., i], moves[key])", "values[..., i]"),
        ],
    ),
    *faults(
        "decisions/monitor.py",
        "decisions/test_monitor.py",
        [
            ("if not silent or urgent:", "if not silent:"),
            ("sounded[name] = twin.now", "sounded[name] = 0.0"),
            ("values[:, ahead <= 60.0 * hours + 1e-9]", "values"),
            ("minutes(watch.grace)", "0.0"),
        ],
    ),
    *faults(
        "decisions/change.py",
        "decisions/test_monitor.py",
        [
            ("total + score - SLACK)", "total + score)"),
            ("before = own.select(slice(0, begun))", "before = own"),
            ("for side in (1, -1):", "for side in (1,):"),
        ],
    ),
    *faults(
        "forecasting/watch.py",
        "forecasting/test_watch.py",
        [
            ("times[i] - good[-1] <= minutes(self.since)", "times[i] - good[0] <= minutes(self.since)"),
            ("times[i] - before[-1] > minutes(self.quiet)", "times[i] - before[-1] > 0.0"),
        ],
    ),
    *faults(
        "validation/alarms.py",
        "validation/test_alarms.py",
        [
            ("time - found[-1] < silence - _BORDER", "time - found[-1] < 0.0"),
            ("_between(alarms, looked - ahead - 2 * _BORDER, ahead)", "_between(alarms, looked, ahead)"),
            ("(series.known <= time + _BORDER) &", "(series.times >= 0.0) &"),
            ("hits * (hits + 1) / 2", "hits * (hits - 1) / 2"),
        ],
    ),
    *faults(
        "readers/stream.py",
        "readers/test_stream.py",
        [
            ("news = self._read([*waiting, row])", "news = self._read([row])"),
            ("math.nextafter(min(times), -math.inf)", "math.nextafter(max(times), -math.inf)"),
        ],
    ),
]  # fmt: skip
