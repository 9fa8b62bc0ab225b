"""Faults in the wings that hold and read what was measured and done."""

from tests.validation.faults import faults

PATIENTS = [
    *faults(
        "labels.py",
        "test_labels.py",
        [
            ("set(c.dims) <= used", "set(c.dims) < used"),
            (
                '"units": labelled.unit, "long_name": labelled.about',
                '"units": labelled.about, "long_name": labelled.unit',
            ),
        ],
    ),
    *faults(
        "display.py",
        "patient/test_record.py",
        [
            ("{escape(text)}</td>", "{text}</td>"),
        ],
    ),
    *faults(
        "storage.py",
        "test_storage.py",
        [
            ("0o666 if mode is None else 0o600", "0o666"),
            ("os.fchmod(descriptor, mode)", "os.fchmod(descriptor, 0o644)"),
            ("os.replace(partial, target)", "target.write_bytes(partial.read_bytes())"),
        ],
    ),
    *faults(
        "patient/units.py",
        "patient/test_units.py",
        [
            ('("U/h", "mU/min"): 1000 / 60', '("U/h", "mU/min"): 60 / 1000'),
            ('_DURATION = {"s": 1 / 60', '_DURATION = {"s": 60'),
            ("return 10 / entry.molar_mass if", "return entry.molar_mass / 10 if"),
            ("** (-1 if joules[0] else 1)", "** (1 if joules[0] else -1)"),
            ("** (1 if per_weight(source) else -1)", "** (-1 if per_weight(source) else 1)"),
            ("return 10.0 * float(convert(max", "return 100.0 * float(convert(max"),
            ("(converted >= entry.low * (1 - 1e-9))", "(converted > entry.low * (1 + 1e-9))"),
            ('else f"{variable}[{bad[0]}]"', 'else f"{variable}[{bad[-1]}]"'),
        ],
    ),
    *faults(
        "patient/nutrition.py",
        "readers/test_mimic.py",
        [
            ("_DEXTROSE = 10 / 198.17", "_DEXTROSE = 10 / 180.16"),
            ("int(part[1]) / int(part[2])", "int(part[2]) / int(part[1])"),
            ("known[first] * strength / first", "known[first] * first / strength"),
            ("_CARBOHYDRATE = 1000 / 180.16", "_CARBOHYDRATE = 1000 / 198.17"),
        ],
    ),
    *faults(
        "patient/course.py",
        "patient/test_inputs.py",
        [
            ("(course.ends - course.starts) / 60.0, 1.0)", "(course.ends - course.starts) / 60.0, 2.0)"),
            ('last = np.searchsorted(times, ends, side="left")', 'last = np.searchsorted(times, ends, side="right")'),
            (
                'found = values[np.searchsorted(times, moments, side="right")]',
                'found = values[np.searchsorted(times, moments, side="left")]',
            ),
            (
                "(self.starts < time) & (self.known <= time), ends=ends)",
                "(self.starts < time) & (self.known < time), ends=ends)",
            ),
            ("np.full(times.size + 1, np.nan if self.setting else 0.0)", "np.full(times.size + 1, 0.0)"),
            ("np.where(self.ends >= time, np.inf, self.ends)", "np.where(self.ends > time, np.inf, self.ends)"),
            (
                "self._select(self.lasting() > time, starts=np.maximum",
                "self._select(self.ends > time, starts=np.maximum",
            ),
        ],
    ),
    *faults(
        "patient/inputs.py",
        "patient/test_inputs.py",
        [
            ("rates = np.array(amount, float, ndmin=1) / length", "rates = np.array(amount, float, ndmin=1) * length"),
            ("course.stop(at) if name in plan and", "course.until(at) if name in plan and"),
        ],
    ),
    *faults(
        "patient/series.py",
        "patient/test_record.py",
        [
            ("(np.diff(values) == 0) & (np.diff(limits) == 0)", "(np.diff(values) == 0) | (np.diff(limits) == 0)"),
            ("(plateau.values < set_to) &", "(plateau.values > set_to) &"),
            ("wrong = (high.values[first] <= lowest)", "wrong = (high.values[first] < lowest)"),
        ],
    ),
    *faults(
        "patient/record.py",
        "patient/test_record.py",
        [
            ("(one.known > after) & (one.known <= until)", "(one.known >= after) & (one.known <= until)"),
            ("one.select(one.times >= time)", "one.select(one.times > time)"),
        ],
    ),
    *faults(
        "patient/record_checks.py",
        "patient/test_record.py",
        [
            ("series.unit, series.times, series.values, series.limits", "series.unit, series.times, series.values"),
        ],
    ),
    *faults(
        "patient/spelling.py",
        "patient/test_units.py",
        [('"mU": "mU", "mIU": "mU"', '"mU": "U", "mIU": "U"')],
    ),
    *faults(
        "patient/stay.py",
        "patient/test_stay.py",
        [
            ("return Joined(joined, min(since, rows.changed)", "return Joined(joined, since"),
            ("end=max(record.end, new_data.end)", "end=new_data.end"),
        ],
    ),
    *faults(
        "modeling/process.py",
        "modeling/test_process.py",
        [
            ("return sd * math.sqrt(self.interval / 60.0)", "return sd * self.interval / 60.0"),
            ("kick = sd * math.sqrt(1.0 - memory**2)", "kick = sd * math.sqrt(1.0 - memory)"),
            ("lax.scan(step, last - base, innovations)", "lax.scan(step, base - last, innovations)"),
            ("-self.interval / minutes(self.timescale)", "-minutes(self.timescale) / self.interval"),
        ],
    ),
    *faults(
        "modeling/observation.py",
        "modeling/test_observation.py modeling/test_measurements.py inference/test_joint.py",
        [
            ("return log_ndtr(-side * (value - mean)", "return log_ndtr(side * (value - mean)"),
            ("return jnp.log(below) if side < 0", "return jnp.log(below) if side > 0"),
            ("** 2 + (self.relative * mean) ** 2", "** 2 + self.relative * mean ** 2"),
            ("np.where(values <= self.lower, -1", "np.where(values < self.lower, -1"),
            ("jnp.where(limits < 0, below, above))", "jnp.where(limits < 0, above, below))"),
        ],
    ),
    *faults(
        "modeling/observation.py",
        "modeling/test_repeats_and_clock.py",
        [
            ("np.sqrt(1.0 + (sizes - 1.0) * self.correlation)", "np.sqrt(1.0 + sizes * self.correlation)"),
            ("(1.0 + turn * share) * (1.0 + (turn - 1.0) * share)", "(1.0 + turn * share) * (1.0 + turn * share)"),
            ("np.diff(times) > self.within)[: len(times)]) - 1", "np.diff(times) >= self.within)[: len(times)]) - 1"),
            (
                "additive = jnp.sqrt((factor * self.additive) ** 2 + extra**2",
                "additive = jnp.sqrt((factor * self.additive) ** 2 + extra",
            ),
        ],
    ),
    *faults(
        "modeling/declarations.py",
        "modeling/test_declarations.py",
        [
            ("return math.exp(prior.loc)", "return prior.loc"),
            ("if shape != ():", "if len(shape) > 1:"),
        ],
    ),
    *faults(
        "modeling/model.py",
        "modeling/test_couple.py inference/test_fit.py",
        [
            ("if name not in values)", "if name in values)"),
        ],
    ),
    *faults(
        "modeling/couple.py",
        "modeling/test_couple.py",
        [
            ("getattr(change, field) / wiring.pace", "getattr(change, field) * wiring.pace"),
            ("seen[name] * factor for field", "seen[name] / factor for field"),
            ('space["step"] = min(', 'space["step"] = max('),
        ],
    ),
    *faults(
        "readers/_clock.py",
        "readers/test_tidy.py",
        [
            ("(moment - zero).total_seconds() / 60 for", "(moment - zero).total_seconds() / 3600 for"),
            ("return 1 / 60_000", "return 1 / 1_000"),
            ("if not 1 <= hour <= 12:", "if not 1 < hour <= 12:"),
        ],
    ),
    *faults(
        "readers/_mimic_measured.py",
        "readers/test_mimic.py readers/test_ventilation.py readers/test_hemodynamics.py",
        [
            ('np.timedelta64(1, "s") / 60.0', 'np.timedelta64(1, "s") / 3600.0'),
            ("wrong = both[highs[1][first] <= lows[1][second]]", "wrong = both[highs[1][first] < lows[1][second]]"),
            ("np.where(percent, values / 100.0, values)", "np.where(percent, values / 10.0, values)"),
            ("outside = ~((values >= charted.low)", "outside = ~((values <= charted.low)"),
        ],
    ),
    *faults(
        "readers/_mimic_carevue.py",
        "readers/test_mimic.py readers/test_hemodynamics.py",
        [
            (
                "doses.ends[places] = np.minimum(np.append(times[1:], np.inf), times + HOLD)",
                "doses.ends[places] = np.append(times[1:], np.inf)",
            ),
            (
                "np.where(noted.stopped[places], 0.0, rates[places])",
                "np.where(noted.stopped[places], rates[places], 0.0)",
            ),
            (
                "(times - before <= HOLD) & (times > before), before",
                "(times - before > HOLD) & (times > before), before",
            ),
            ("kept = stops[-1] if stops.size else same[-1]", "kept = same[0]"),
        ],
    ),
    *faults(
        "readers/_mimic_running.py",
        "readers/test_mimic.py readers/test_hemodynamics.py",
        [
            ("some.amount / (ends - some.start) * 60.0", "some.amount * (ends - some.start) / 60.0"),
            ("some.amount * np.where(liters, 1000.0, 1.0)", "some.amount * np.where(liters, 1.0, 1000.0)"),
            ("| (some.end - some.start <= PUSH)", "| (some.end - some.start >= PUSH)"),
        ],
    ),
    *faults(
        "readers/_mimic_tables.py",
        "readers/test_mimic.py",
        [("age.where(age <= 89, 90.0)", "age.where(age < 89, 90.0)")],
    ),
    *faults(
        "readers/bedside.py",
        "readers/test_hemodynamics.py",
        [
            (
                "values = values * amount * units.convert(1.0, unit",
                "values = values / amount * units.convert(1.0, unit",
            ),
            ("flows = amounts / units.minutes(duration)", "flows = amounts * units.minutes(duration)"),
        ],
    ),
    *faults(
        "readers/arterial.py",
        "readers/test_arterial.py",
        [
            ("np.floor((found.begins - start) / every)", "np.ceil((found.begins - start) / every)"),
            ("longest > _GAP * step)", "longest < _GAP * step)"),
            ("times = np.arange(len(raw)) / (60.0 * rate)", "times = np.arange(len(raw)) / rate"),
        ],
    ),
    *faults(
        "breaths/estimates.py",
        "breaths/test_waveform.py breaths/test_breath_chart.py",
        [
            ("else float(self.mean[3] - self.peep)", "else float(self.mean[3] + self.peep)"),
            ("self.mean[1] + self.mean[2] * flow)", "self.mean[1] - self.mean[2] * flow)"),
            ("np.column_stack([V, Q, Q * np.abs(Q)", "np.column_stack([V, Q, Q * Q"),
            ("half = ndtri(0.5 + ci_prob / 2)", "half = ndtri(ci_prob)"),
            ("if circuit_compliance else breath.flows", "if not circuit_compliance else breath.flows"),
        ],
    ),
    *faults(
        "breaths/tracking.py",
        "breaths/test_waveform.py breaths/test_tracking.py",
        [
            ("np.sum(spreads == spread) >= 50", "np.sum(spreads == spread) >= 50_000"),
            ("chunks, recent = (), np", "chunks, recent = chunks, np"),
            ("tracking.supported + 1,", "tracking.supported,"),
        ],
    ),
    *faults(
        "breaths/levels.py",
        "breaths/test_tracking.py",
        [
            ("missed = value - levels.means - offs", "missed = value - levels.means"),
            ("self.variances + breaths * DRIFT**2", "self.variances"),
            ("(1.0 + together) / (1.0 - together)", "1.0"),
        ],
    ),
    *faults(
        "breaths/bands.py",
        "breaths/test_tracking.py",
        [
            ("wide = _few(_independent(past), ci_prob)", "wide = 1.0"),
            ("needed - 1.0, 0.0) * seen", "needed - 1.0, 0.0) * 0.0"),
            ("past[origin + ahead - 1 :]", "past[origin - 1 :]"),
        ],
    ),
    *faults(
        "breaths/apparatus.py",
        "breaths/test_apparatus.py",
        [
            ("value = slow.compliance - circuit.compliance", "value = slow.compliance"),
            ("(since > turn + settling)", "(since > turn)"),
            ("value / settings.gain(oxygen)", "value * settings.gain(oxygen)"),
            ("columns.append([pressure, flow, -flow / slope])", "columns.append([pressure, 0.0, 0.0])"),
        ],
    ),
    *faults(
        "breaths/breath_chart.py",
        "breaths/test_breath_chart.py",
        [
            (
                "fit.mean[3] + fit.elastance * breath.tidal_volume if",
                "fit.mean[3] - fit.elastance * breath.tidal_volume if",
            ),
            ("/ (breath.times[-1] - breath.times[0])", "/ breath.times[-1]"),
        ],
    ),
]
