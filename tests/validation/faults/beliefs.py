"""Faults in the wings that infer, forecast, judge what was inferred and ask for more."""

from tests.validation.faults import faults

BELIEFS = [
    *faults(
        "inference/integration.py",
        "inference/test_integration.py inference/test_fit.py",
        [("FixedStep(refine=2 * own.refine)", "FixedStep(refine=own.refine)")],
    ),
    *faults(
        "inference/unknowns.py",
        "inference/test_joint.py",
        [
            (
                "jnp.sum(bijector.log_abs_det_jacobian(raw, value))",
                "0.0 * jnp.sum(bijector.log_abs_det_jacobian(raw, value))",
            )
        ],
    ),
    *faults(
        "inference/unknowns.py",
        "inference/test_joint.py",
        [("fine = jnp.abs(position) < limits", "fine = position < limits")],
    ),
    *faults(
        "inference/joint.py",
        "inference/test_joint.py",
        [
            ("local, there = rows[jnp.maximum(index - 1, 0)]", "local, there = rows[jnp.maximum(index - 2, 0)]"),
            ("reach(name, declared[name].unit)) for name", "10 * reach(name, declared[name].unit)) for name"),
        ],
    ),
    *faults(
        "inference/data.py",
        "inference/test_joint.py",
        [
            ("present=np.pad(np.ones(len(values), bool), (0, pad))", "present=np.ones(len(values) + pad, bool)"),
        ],
    ),
    *faults(
        "inference/methods/importance.py",
        "inference/test_importance.py inference/test_laplace.py",
        [
            ("return float(1.0 / np.sum(self.weights**2))", "return float(len(self.weights))"),
            ("np.sqrt(1.0 - width**2) * away", "(1.0 - width) * away"),
            ("psislw(-log_ratios[alive])", "psislw(log_ratios[alive])"),
            ("constant -= np.sum(np.log(np.diag(self.root)))", "constant += np.sum(np.log(np.diag(self.root)))"),
        ],
    ),
    *faults(
        "inference/methods/modes.py",
        "inference/test_laplace.py",
        [
            ("likely = [m for m in modes if m.log_evidence > modes[0].log_evidence - KEPT]", "likely = modes[:1]"),
            ("return bool(shift @ mode.curvature @ shift < _SAME)", "return False"),
        ],
    ),
    *faults(
        "inference/methods/laplace.py",
        "inference/test_laplace.py",
        [
            ("np.isfinite(densities), densities, -np.inf) - proposal", "np.isfinite(densities), densities, -np.inf)"),
        ],
    ),
    *faults(
        "inference/methods/climb.py",
        "inference/test_laplace.py",
        [
            ("gradient = gradient + slope.T @ by_mean[name]", "gradient = gradient - slope.T @ by_mean[name]"),
        ],
    ),
    *faults(
        "inference/methods/nuts.py",
        "inference/test_importance.py inference/test_nuts.py",
        [
            (
                "return -run.joint.log_density(run.center + run.root @ z)",
                "return -run.joint.log_density(run.center + run.root.T @ z)",
            ),
            ("steps >= 2**depth - 1", "steps >= 2**depth"),
        ],
    ),
    *faults(
        "inference/methods/smc.py",
        "inference/test_smc.py",
        [
            ("log_evidences.max() + np.log(relative.mean())", "log_evidences.max() + np.log(relative.sum())"),
            ("error = np.std(relative, ddof=1) / np.sqrt(len(relative))", "error = np.std(relative, ddof=1)"),
        ],
    ),
    *faults(
        "inference/methods/variational.py",
        "inference/test_variational.py",
        [
            ("- 0.5 * size * np.log(2 * np.pi) - np", "- np"),
        ],
    ),
    *faults(
        "inference/methods/sampled.py",
        "inference/test_laplace.py",
        [
            ("return not self.khat >= TRUSTED", "return self.khat > TRUSTED"),
        ],
    ),
    *faults(
        "inference/methods/cloud.py",
        "inference/test_cloud.py inference/test_filter.py",
        [
            ("math.sqrt(1.0 - settings.width**2) * (flat[chosen] - mean)", "(flat[chosen] - mean)"),
            ("float(weights.sum() ** 2 / np.sum(weights**2))", "float(weights.sum() / np.sum(weights**2))"),
        ],
    ),
    *faults(
        "inference/methods/filter.py",
        "inference/test_filter.py inference/test_outcomes.py inference/test_update.py",
        [
            (
                "jnp.where(row.present[i], lax.switch(limit + 1, branches), 0.0)",
                "jnp.where(row.present[i], lax.switch(limit, branches), 0.0)",
            ),
            ("2 * jnp.minimum(below, above)", "jnp.minimum(below, above)"),
        ],
    ),
    *faults(
        "inference/population.py",
        "inference/test_population.py",
        [
            (
                "np.sqrt(_TAILS * np.mean(spreads[:, i] ** 2) + np.var(shifts))",
                "np.sqrt(_TAILS * np.mean(spreads[:, i] ** 2))",
            ),
            ("return (np.log(value) - self.middle) / self.scale", "return (np.log(value) + self.middle) / self.scale"),
        ],
    ),
    *faults(
        "inference/cohort.py",
        "inference/test_cohort.py",
        [
            (
                "if self.sampled.failed > _FAILED * self.sampled.tried",
                "if self.sampled.failed < _FAILED * self.sampled.tried",
            ),
            ("if not -len(self) <= index < len(self)", "if not -len(self) <= index <= len(self)"),
        ],
    ),
    *faults(
        "inference/seal.py",
        "inference/test_format.py",
        [("if digest.hexdigest() != stated:", "if digest.hexdigest() == stated[:-1]:")],
    ),
    *faults(
        "inference/update.py",
        "inference/test_update.py inference/test_updated_twin.py",
        [
            (
                "usable = [cloud for cloud in clouds if cloud.time <= since]",
                "usable = [cloud for cloud in clouds if cloud.time < since]",
            ),
            ('jax.random.fold_in(key, twin.provenance.get("updated", 0))', "jax.random.fold_in(key, 0)"),
            ("if heard.tail < settings.surprise", "if heard.tail > settings.surprise"),
        ],
    ),
    *faults(
        "inference/describe.py",
        "inference/test_twin.py inference/test_fit.py",
        [
            (
                "return np.concatenate([[record.start], ends * minutes_per_unit(density.model)])",
                "return np.concatenate([[0.0 * record.start + 1.0], ends * minutes_per_unit(density.model)])",
            ),
        ],
    ),
    *faults(
        "inference/fit.py",
        "inference/test_fit.py",
        [
            ("method is not None or sampled.khat < 0.7", "method is not None or sampled.khat < 7.0"),
        ],
    ),
    *faults(
        "forecasting/risk.py",
        "forecasting/test_risk.py forecasting/test_forecast.py",
        [
            ("min(effective_draws * known.mean(), solved)", "solved"),
            ("event.happens(values)[known]", "event.happens(values)"),
            ("inside = ahead.times <= ahead.now + 60 * hours", "inside = ahead.times <= ahead.now + hours"),
            ("shrunk = (probability * size + 1) / (size + 2)", "shrunk = probability"),
            ('"<=": operator.le', '"<=": operator.lt'),
        ],
    ),
    *faults(
        "forecasting/forecast.py",
        "forecasting/test_forecast.py",
        [
            (
                'base, last = bijector.inv(values[f"{name}_start"]), bijector.inv(past[-1])',
                'base = last = bijector.inv(values[f"{name}_start"])',
            ),
            ("levels = [(1 - ci_prob) / 2, 0.5, (1 + ci_prob) / 2]", "levels = [1 - ci_prob, 0.5, ci_prob]"),
            ('"hours_ahead": (self.times - self.now) / 60', '"hours_ahead": self.times / 60'),
            ("measured[name] = jnp.where(solved, how.shown(sample), jnp.nan)", "measured[name] = how.shown(sample)"),
            ("given = twin.record.inputs.then(plan, twin.now)", "given = plan"),
        ],
    ),
    *faults(
        "diagnostics/diagnose.py",
        "diagnostics/test_diagnose.py",
        [
            ("if khat > 0.7 or ess < 200", "if khat < 0.7 or ess < 200"),
            ("failed / max(tried, 1)", "tried / max(failed, 1)"),
            ("if rhat > 1.01 or ess < 400 or diverging > 0", "if rhat > 1.01 and ess < 400 and diverging > 0"),
        ],
    ),
    *faults(
        "diagnostics/determination.py",
        "diagnostics/test_identify.py",
        [
            ("return 1.0 - self.draws.var(axis=0) / np", "return 1.0 - self.draws.std(axis=0) / np"),
            ("if abs(shift) >= self.conflict", "if shift >= self.conflict"),
            (
                "(1.0 - contraction) * math.sqrt(2.0 / max(draws, 1.0))",
                "(1.0 - contraction) * math.sqrt(1.0 / max(draws, 1.0))",
            ),
        ],
    ),
    *faults(
        "diagnostics/information.py",
        "diagnostics/test_information.py",
        [
            ("return self.roots.T @ self.roots", "return self.roots.T @ self.roots / 2"),
            ("kept = self.times <= minutes(time)", "kept = self.times < minutes(time)"),
            ("return 1.0 / math.sqrt(values[0]) if", "return math.sqrt(values[0]) if"),
        ],
    ),
    *faults(
        "diagnostics/profiles.py",
        "diagnostics/test_profiles.py",
        [
            (
                "share = (limit - roots[i - 1]) / (roots[i] - roots[i - 1])",
                "share = (roots[i] - limit) / (roots[i] - roots[i - 1])",
            ),
        ],
    ),
    *faults(
        "diagnostics/continuation.py",
        "diagnostics/test_profiles.py",
        [
            (
                "return coordinates, 2.0 * (self.log_likelihood - likelihoods)",
                "return coordinates, (self.log_likelihood - likelihoods)",
            ),
        ],
    ),
    *faults(
        "diagnostics/sensitivity.py",
        "diagnostics/test_sensitivity.py",
        [
            ("return low + (high - low) * quantiles", "return low + high * quantiles"),
        ],
    ),
    *faults(
        "diagnostics/compare.py",
        "diagnostics/test_compare.py",
        [
            (
                "order = sorted(twins, key=lambda name: -left_out[name].elpd)",
                "order = sorted(twins, key=lambda name: left_out[name].elpd)",
            ),
            ("np.sum(~(self.khats <= self.limit))", "np.sum(self.khats <= self.limit)"),
        ],
    ),
    *faults(
        "diagnostics/taylor.py",
        "diagnostics/test_structural.py",
        [
            ("total = sum((r * i - (k - i)) * a[i]", "total = sum((r * i + (k - i)) * a[i]"),
        ],
    ),
    *faults(
        "diagnostics/symmetry.py",
        "diagnostics/test_structural.py",
        [
            (
                "basis[k, pivots] = arithmetic.reduce(-form[:, column])",
                "basis[k, pivots] = arithmetic.reduce(form[:, column])",
            ),
        ],
    ),
    *faults(
        "design/preposterior.py",
        "design/test_next_measurement.py",
        [
            ("both[quantities:, quantities:] + np.diag(noise)", "both[quantities:, quantities:]"),
            (
                "self.missed * below, self.false_alarm * (1.0 - below)",
                "self.false_alarm * below, self.missed * (1.0 - below)",
            ),
        ],
    ),
    *faults(
        "design/ranking.py",
        "design/test_next_measurement.py",
        [
            (
                "1 + np.sum(after[None, :] < after[:, None] - 2 * apart, axis=1)",
                "1 + np.sum(after[None, :] > after[:, None] - 2 * apart, axis=1)",
            ),
        ],
    ),
    *faults(
        "design/candidate.py",
        "design/test_next_measurement.py",
        [
            (
                "time = now + minutes(when.strip()[1:].strip()) if relative",
                "time = minutes(when.strip()[1:].strip()) if relative",
            ),
        ],
    ),
]
