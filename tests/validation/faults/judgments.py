"""Faults in the wings that score and present."""

from tests.validation.faults import faults

JUDGMENTS = [
    *faults(
        "validation/score.py",
        "validation/test_score.py",
        [
            ("np.cumsum(weights[order]) - 0.5 * weights[order]", "np.cumsum(weights[order])"),
            ("error = median - value", "error = value - median"),
            ("float(lower <= value <= upper)", "float(lower < value < upper)"),
            ("(members < value) + 0.5 * (members == value)", "(members > value) + 0.5 * (members == value)"),
            ("interval_score(value, lower, upper, 1 - ci_prob)", "interval_score(value, lower, upper, ci_prob)"),
            ("chosen = reached & (series.limits == 0)", "chosen = reached"),
        ],
    ),
    *faults(
        "validation/evaluate.py",
        "validation/test_score.py",
        [
            (
                "if following is None else min(until, now + following)",
                "if following is None else max(until, now + following)",
            ),
            ("label[(ahead >= low) & (ahead < high)]", "label[(ahead > low) & (ahead <= high)]"),
        ],
    ),
    *faults(
        "validation/rivals.py",
        "validation/test_rivals.py",
        [
            ("start[row] * value[others] / start[others] if", "start[row] * start[others] / value[others] if"),
            ("place[~mine] if horizon", "place[mine] if horizon"),
        ],
    ),
    *faults(
        "validation/uniformity.py",
        "validation/test_calibrate.py",
        [
            ("binom.sf(below - 1, count, points)", "binom.sf(below, count, points)"),
        ],
    ),
    *faults(
        "validation/calibrate.py",
        "validation/test_calibrate.py",
        [
            ("np.mean(np.abs(v.values - 0.5) <= ci_prob / 2)", "np.mean(np.abs(v.values - 0.5) <= ci_prob)"),
            ("self.p_values.min() * len(self.p_values) > 1 - ci_prob", "self.p_values.min() > 1 - ci_prob"),
        ],
    ),
    *faults(
        "inference/twin.py",
        "presentation/test_export.py inference/test_twin.py",
        [
            ("levels = [(1 - ci_prob) / 2, 0.5, (1 + ci_prob) / 2]", "levels = [1 - ci_prob, 0.5, ci_prob]"),
        ],
    ),
    *faults(
        "presentation/plots/twin.py",
        "presentation/test_plots.py",
        [
            (
                "np.concatenate([[running.at(begin)], after[inside], after[inside][-1:]])",
                "np.concatenate([[running.at(end)], after[inside], after[inside][-1:]])",
            ),
            (
                "these = (series.times > shown.now) & (series.times <= end)",
                "these = (series.times > shown.now) & (series.times >= end)",
            ),
            ("given = course.rates[i] * (course.ends[i] - course.starts[i])", "given = course.rates[i]"),
        ],
    ),
    *faults(
        "presentation/plots/narrowing.py",
        "presentation/test_plots_narrowing.py",
        [
            ("np.argmin(np.abs(series.times - time))", "np.argmin(series.times - time)"),
        ],
    ),
    *faults(
        "presentation/plots/identifiability.py",
        "presentation/test_identifiability_plots.py",
        [
            ("np.sum(directions[i][said.groups[name]] ** 2)", "np.sum(directions[i][said.groups[name]])"),
        ],
    ),
    *faults(
        "cli/__init__.py",
        "test_cli.py",
        [("_TARGET = (4.4, 8.0)", "_TARGET = (4.4, 80.0)")],
    ),
    *faults(
        "cli/terminal.py",
        "test_cli.py",
        [("number(ahead.now / 60)} h", "number(ahead.now)} h")],
    ),
]
