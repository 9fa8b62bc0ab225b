"""Faults in the models and in the wing that integrates them."""

from tests.validation.faults import faults

PHYSIOLOGY = [
    *faults("dynamics/integrators.py", "dynamics/test_simulate.py", [("max(1, substeps // 2))", "max(1, substeps))")]),
    *faults(
        "dynamics/integrators.py",
        "dynamics/test_simulate.py",
        [("(k1 + 2.0 * k2 + 2.0 * k3 + k4)", "(k1 + 2.0 * k2 + 3.0 * k3)")],
    ),
    *faults(
        "models/metabolic/insulin_nutrition.py",
        "models/test_models.py",
        [
            ("effect = Q / (1 + a_G * Q)", "effect = Q / (1 - a_G * Q)"),
            ("+ (P + EGP - CNS) / V_G,", "+ (P + EGP + CNS) / V_G,"),
            ('"gut_glucose": -absorbed + d_1 * P_1', '"gut_glucose": -absorbed + 2 * d_1 * P_1'),
            ('"gut_glucose": jnp.minimum(D, P_max) / d_2', '"gut_glucose": jnp.maximum(D, P_max) / d_2'),
            ("(u_ex + (1 - self.first_pass_extraction) * u_en)", "(u_ex + self.first_pass_extraction * u_en)"),
            (
                "return (b + jnp.sqrt(b**2 + 4 * n_I**2 * a_G * I))",
                "return (b - jnp.sqrt(b**2 + 4 * n_I**2 * a_G * I))",
            ),
        ],
    ),
    *faults(
        "models/metabolic/minimal.py",
        "models/test_models.py models/test_oral.py",
        [
            ("glucose=S_G * (G_b - G) - X * G", "glucose=S_G * (G_b - G) + X * G"),
            ("insulin_action=p_2 * (S_I * (I - I_b) - X)", "insulin_action=p_2 * (S_I * (I + I_b) - X)"),
        ],
    ),
    *faults(
        "models/metabolic/oral.py",
        "models/test_oral.py",
        [
            ("R_a / (self.glucose_volume * self.weight)", "R_a / self.glucose_volume"),
            ("gut_glucose=emptied - absorbed", "gut_glucose=emptied - R_a"),
        ],
    ),
    *faults(
        "models/respiratory/gas_exchange.py",
        "models/test_gas_exchange.py",
        [
            ("- inputs.alveolar_ventilation * P_c - exchange)", "- inputs.alveolar_ventilation * P_c + exchange)"),
            ("C_a = (1.0 - self.shunt) * C_c + self.shunt * C_v", "C_a = self.shunt * C_c + (1.0 - self.shunt) * C_v"),
            (
                "available = F * (self.barometric_pressure - WATER - P_c)",
                "available = F * (self.barometric_pressure - P_c)",
            ),
            ("unshunted = 10.0 * Q_t * (1.0 - self.shunt)", "unshunted = 10.0 * Q_t"),
        ],
    ),
    *faults(
        "models/respiratory/blood.py",
        "models/test_gas_exchange.py",
        [
            ("return cubic / (cubic + 23400.0)", "return cubic / (cubic + 2340.0)"),
            ("0.024 * (37.0 - temperature) + 0.40 * (pH - 7.40)", "0.024 * (37.0 - temperature) - 0.40 * (pH - 7.40)"),
            (
                "bicarbonate = SOLUBILITY * carbon_dioxide * 10.0 ** (pH - 6.1)",
                "bicarbonate = SOLUBILITY * carbon_dioxide * 10.0 ** (6.1 - pH)",
            ),
        ],
    ),
    *faults(
        "models/respiratory/mechanics.py",
        "models/test_mechanics.py models/test_charted.py",
        [
            ("plateau = peep + intrinsic + E * tidal_volume", "plateau = peep + E * tidal_volume"),
            ("resistive = (R + K * flow) * flow", "resistive = R * flow"),
            ("power = JOULE * rate * tidal_volume * inspired", "power = JOULE * rate * tidal_volume * plateau"),
            ("return 0.098 * rate", "return 0.98 * rate"),
        ],
    ),
    *faults(
        "models/respiratory/recruitment.py",
        "models/test_recruitment.py",
        [
            ("self.opening_pressure + self.hysteresis)", "self.opening_pressure - self.hysteresis)"),
            ("self.opening_share * (1.0 - x) *", "self.opening_share * x *"),
            ("driving_pressure=plateau - inputs.peep", "driving_pressure=plateau"),
        ],
    ),
    *faults(
        "models/respiratory/charted.py",
        "models/test_charted.py",
        [
            (
                "trapped = tidal / jnp.expm1(T_e / self.expiratory_time)",
                "trapped = tidal / jnp.exp(T_e / self.expiratory_time)",
            ),
            (
                "jnp.maximum(inputs.tidal_volume - self.dead_space, 0.02)",
                "jnp.maximum(inputs.tidal_volume + self.dead_space, 0.02)",
            ),
        ],
    ),
    *faults(
        "models/respiratory/curves.py",
        "models/test_breath_curves.py",
        [
            (
                "recoil = ventilator.peep + patient.elastance * high",
                "recoil = ventilator.peep + patient.elastance * low",
            ),
            ("rest = (above + pull) / patient.elastance", "rest = (above - pull) / patient.elastance"),
            ("jnp.maximum(since - self.rise, 0.0) / self.release", "jnp.maximum(since, 0.0) / self.release"),
        ],
    ),
    *faults(
        "models/respiratory/breaths.py",
        "breaths/test_waveform.py",
        [
            (
                "_TRIGGER * np.quantile(np.maximum(-flows, 0.0), 0.95)",
                "_TRIGGER * np.quantile(np.maximum(flows, 0.0), 0.95)",
            ),
            ("if abs(volumes[-1]) > _LEAK", "if abs(volumes[-1]) < _LEAK"),
        ],
    ),
    *faults(
        "models/cardiovascular/windkessel.py",
        "models/test_windkessel.py",
        [
            (
                "state.arterial_pressure + self.impedance * inputs.aortic_flow)",
                "state.arterial_pressure - self.impedance * inputs.aortic_flow)",
            ),
        ],
    ),
    *faults(
        "models/cardiovascular/chambers.py",
        "models/test_smith.py models/test_three_chamber.py",
        [
            ("passive = (1.0 - e) * (curve -", "passive = e * (curve -"),
            ('wall("right", state.right_ventricle + V)', 'wall("right", state.right_ventricle - V)'),
            ("jnp.where((dP < 0) & (Q < 0), 0.0", "jnp.where((dP < 0) | (Q < 0), 0.0"),
        ],
    ),
    *faults(
        "models/cardiovascular/three_chamber.py",
        "models/test_three_chamber.py",
        [
            (
                'Q_c = (P_a - P_v) / heart["circulation_resistance"]',
                'Q_c = (P_a + P_v) / heart["circulation_resistance"]',
            ),
            ('jnp.maximum(P_h - P_a, 0.0) / heart["outflow', 'jnp.minimum(P_h - P_a, 0.0) / heart["outflow'),
        ],
    ),
    *faults(
        "models/cardiovascular/preload.py",
        "models/test_preload.py",
        [
            ("stroke = S * P / (P + K)", "stroke = S * P / (P - K)"),
            ("variation = 200.0 * (most - least)", "variation = 100.0 * (most - least)"),
            ("diastolic = mean - self.form_factor * pulse", "diastolic = mean - pulse"),
            (
                "inputs.volume_change - inputs.unstressed_change + self",
                "inputs.volume_change + inputs.unstressed_change + self",
            ),
            (
                "least = self.meet(mean_systemic - expiratory - swing",
                "least = self.meet(mean_systemic - expiratory + swing",
            ),
        ],
    ),
    *faults(
        "models/sepsis/baroreflex.py",
        "models/test_septic_shock.py",
        [
            ("jnp.arctan((MAP - self.resting_pressure) / w)", "jnp.arctan((self.resting_pressure - MAP) / w)"),
            ("1.0 - inputs.unstressed_change / self", "1.0 + inputs.unstressed_change / self"),
        ],
    ),
    *faults(
        "models/sepsis/fluids.py",
        "models/test_fluids.py",
        [
            ("self.distribution_rate * v - self.return_rate * x", "self.distribution_rate * v + self.return_rate * x"),
            ("inside + state.legs - state.relaxation", "inside + state.legs + state.relaxation"),
        ],
    ),
    *faults(
        "models/sepsis/lactate.py",
        "models/test_lactate.py",
        [
            (
                "short = self.critical_delivery * self.weight - delivered",
                "short = delivered - self.critical_delivery * self.weight",
            ),
            ("/ (self.volume * self.weight))", "/ self.volume)"),
        ],
    ),
    *faults(
        "models/sepsis/norepinephrine.py",
        "models/test_norepinephrine.py",
        [
            ("(severity / 20.0) ** self.severity_power", "(20.0 / severity) ** self.severity_power"),
            ("return raised / (1.0 + raised)", "return raised"),
            ("exchanged = K.exchange * (C - C_2)", "exchanged = K.exchange * (C_2 - C)"),
            ("self.effect(acting) - self.effect(self.endogenous())", "self.effect(acting)"),
        ],
    ),
    *faults(
        "models/sepsis/pressure.py",
        "models/test_septic_shock.py models/test_models.py",
        [
            ("by_volume = self.volume_gain * state.plasma / 1000.0", "by_volume = self.volume_gain * state.plasma"),
            (
                "return self.greatest_rise * u / (self.half_rate + u)",
                "return self.greatest_rise * u / (1.0 + self.half_rate * u)",
            ),
        ],
    ),
    *faults(
        "dynamics/segments.py",
        "dynamics/test_segments.py dynamics/test_simulate.py",
        [
            ('times, middle, side="right") - 1]\n\n\ndef _slope', 'times, middle, side="right") - 2]\n\n\ndef _slope'),
            ("return float(np.interp(start, times, values))", "return float(values[-1])"),
            ('times, start, side="left") - 1])', 'times, start, side="right") - 1])'),
            ("np.floor((middle - origin) / p.interval)", "np.floor((middle - start) / p.interval)"),
            (
                "np.append(np.diff(values) / np.diff(times), 0.0 * values[-1])",
                "np.append(np.diff(values) * np.diff(times), 0.0 * values[-1])",
            ),
            ("length=np.pad(segments.length, pad),", "length=np.pad(segments.length, pad, mode='edge'),"),
        ],
    ),
    *faults(
        "dynamics/simulate.py",
        "dynamics/test_simulate.py",
        [
            ("level + slope * (time - start)", "level + slope * time"),
            (
                "kicks = kicks + jnp.tensordot(_finite(by), change, change.ndim)",
                "kicks = kicks - jnp.tensordot(_finite(by), change, change.ndim)",
            ),
            ("change = jacobian @ change + kick", "change = jacobian @ change"),
            (
                "inputs = level + slope * jnp.where(index > 0, length, 0.0)",
                "inputs = level + slope * jnp.where(index > 1, length, 0.0)",
            ),
        ],
    ),
]
