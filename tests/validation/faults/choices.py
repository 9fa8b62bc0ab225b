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
]  # fmt: skip
