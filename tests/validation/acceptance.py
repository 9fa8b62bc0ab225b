"""The lines of the acceptance tables: what is measured and the bar it has to meet."""

from typing import NamedTuple


class Line(NamedTuple):
    """One line of an acceptance table."""

    title: str
    bar: str


LINES = {
    "01.1": Line(
        "Fresh clone, empty environment: `make demo` (real FSIGT data, then a synthetic ICU stay)",
        "exit 0; after the install ≤ 90 s, second run ≤ 30 s; prints the summary with units, interval levels and "
        "diagnosis; writes twin.nc, forecast.csv, fan.png under out/",
    ),
    "01.2": Line(
        "Fresh clone: `make test`, on Python 3.11 and 3.13",
        "green, ≤ 12 min on 2 cores, no warning left unexplained",
    ),
    "01.3": Line(
        "FSIGT: MAP from ≥ 8 dispersed starts, none at the answer, with Gb 92, Ib 7, t ≥ 4, constant CV",
        "SG .0261, SI 5.65e-4, p2 .0258, G0 282, each within 2 %; NUTS posterior shows the SG–p2 trade-off",
    ),
    "01.4": Line(
        "ICING: steady-state table; gut glucose balance; saturation above 6.11 mmol/min",
        "0.01 mmol/L; 1e-6 relative; holds",
    ),
    "01.5": Line(
        "Fixed step against diffrax at rtol 1e-10, 200 prior draws of each model with random inputs",
        "max relative error ≤ 1e-3 of each output's range; the error estimate reported by the library bounds it in "
        "≥ 95 %",
    ),
    "01.6": Line(
        "Laplace against NUTS on 20 synthetic 48-h stays",
        "|Δmean|/sd ≤ 0.15, sd ratio 0.9–1.1 for every parameter with k-hat < 0.7; others flagged",
    ),
    "01.7": Line(
        "Simulation-based calibration of both models, 200 replicates",
        "rank ECDF inside the 99 % envelope; 90 % coverage 0.85–0.95",
    ),
    "01.8": Line(
        "A MIMIC-III demo stay with insulin and nutrition, first 24 h fitted, next 4 h forecast, drawn",
        "runs from the reader to the picture in one script of ≤ 15 lines",
    ),
    "01.9": Line(
        "Twin saved, loaded in a new process, forecast again with the same key",
        "bit-identical; `xr.open_datatree` and every ArviZ call in the docs work on the file",
    ),
    "01.10": Line(
        "`import twinprob`",
        "no backend initialized, x64 flag untouched, matplotlib not pulled in, ≤ 1.3 × importing numpyro + diffrax + "
        "xarray",
    ),
    "01.11": Line(
        "Gradient of the 48-h ICING log density (49 unknowns), and one simulation",
        "≤ 0.5 × the time of reverse mode through `diffeqsolve`; ≤ 3 × a hand-written RK4 scan",
    ),
    "02.1": Line(
        "Lotka–Volterra (posteriordb, 21 years, 8 unknowns), `fit` with no options, a user's own model in one file",
        "20 of 20 keys: all chains in the main mode, R-hat < 1.01, |Δmean|/sd ≤ 0.1 and sd ratio 0.93–1.07 against "
        "the reference draws; the second mode found and weighted",
    ),
    "02.2": Line(
        "ICING 48-h density (49 unknowns): effective draws per second against plain NumPyro + diffrax",
        "≥ 300 ×, posterior moments equal within Monte Carlo error; PINTS, Stan figures beside it",
    ),
    "02.3": Line(
        "Whole fit, 48-h stay, warm / first in a new process with the compile cache / first ever",
        "≤ 1 s / ≤ 6 s / ≤ 20 s",
    ),
    "02.4": Line(
        "`update` with one glucose value after 6, 48, 240 h of history",
        "p99 ≤ 50 ms at each, no growth; against a full refit at 10 checkpoints of 20 synthetic and 5 real stays: "
        "|Δmean|/sd ≤ 0.2, sd ratio 0.85–1.15",
    ),
    "02.5": Line(
        "MIMIC-III demo, every stay with insulin infusion and ≥ 6 glucose values: rolling forecast of the next value "
        "from the past only; population learned on other stays",
        "on the same pairs, classes 0.4–1.5 h and 1.5–2.5 h, as means over stays: MAE and median APE below "
        "persistence; 90 % coverage 87–93 %, no stay with ≥ 20 pairs under 75 %; interval score ≤ 0.90 × (≈ 1 h) and "
        "≤ 0.78 × (≈ 2 h) the leave-one-stay-out empirical interval; CRPS beside it",
    ),
    "02.6": Line(
        "Theophylline (12 people): population fit, a user's one-file model",
        "typical values within 10 % of published NLME estimates; ESS ≥ 400; ≤ 60 s",
    ),
    "02.7": Line(
        "New synthetic patients with 0, 1, 2, 5 observations: population prior against weak prior, 100 patients",
        "RMSE of the next 6 h ≥ 30 % lower at 1–2 observations; coverage 0.85–0.95 at every count",
    ),
    "02.8": Line(
        "1,000 synthetic 48-h stays fitted together (`fit_cohort`, one process)",
        "≤ 60 s on 2 cores after compilation; 100 → 10,000 stays linear within 20 %; peak memory ≤ 4 GiB; each "
        "equals its single fit",
    ),
    "02.9": Line(
        "SBC, 200 replicates, of Laplace, NUTS and the filter on ICING",
        "inside the 99 % envelope, ≤ 3 min in all",
    ),
    "02.10": Line(
        "50 % of observations missing; 5 % gross outliers; 20 % censored",
        "90 % coverage stays 0.85–0.95",
    ),
    "02.11": Line(
        "Traps: failed solves that would return the prior; zero-volatility mode; stuck chain; prior–data conflict; "
        "time-varying truth fitted as constant",
        "each detected and named by `diagnose`",
    ),
    "02.12": Line(
        "61 people, OGTT with 5 samples, an oral minimal model in one file, population fit without the clamp",
        "Spearman of SI with the clamp's ISI ≥ 0.50 and above Matsuda's on the same people (0.435), paired bootstrap "
        "interval shown; posterior SD larger where the error is larger (rank correlation > 0)",
    ),
    "03.1": Line(
        "Structural verdicts on ≥ 30 published models written in the tests, each with its literature verdict "
        "cited or derived by hand",
        "≥ 29 of 30 parameter sets right; every miss explained",
    ),
    "03.2": Line(
        "ICING with glucose alone in the ICU",
        "sensitivity path determined; EGP, VG, pG, secretion, insulin clearance reported as confounded with it, "
        "by name; forecasts at 1–4 h reported as determined",
    ),
    "03.3": Line(
        "FSIGT: SG and p2",
        'trade-off found by profiles, Fisher information and posterior alike; verdict "weakly determined" under '
        "constant SD",
    ),
    "03.4": Line(
        "Linear-Gaussian model",
        "Fisher, profile, posterior and contraction equal the closed form to 1e-6",
    ),
    "03.5": Line(
        "Profile likelihood of ICING on a real 48-h stay, ≥ 8 static parameters",
        "≤ 60 s; intervals cover the truth on synthetic twins in 0.90–0.98 at nominal 95 %",
    ),
    "03.6": Line(
        "Next measurement: 50 synthetic patients, 6 candidates each, asked for the insulin sensitivity now and for "
        "glucose in 4 h",
        "top pick beats a random one in ≥ 80 %; within 10 % of nested Monte Carlo",
    ),
    "03.7": Line(
        "An unidentifiable model (two parameters only as a product) with a tight prior on one",
        "verdict names the product and says the posterior of each is its prior",
    ),
    "03.8": Line(
        "Time for the whole verdict on a 48-h twin, warm",
        "≤ 5 s without profiles",
    ),
    "04.1": Line(
        "Test lung, 8 recordings, nominal C (and R at its rated flow)",
        "C median within 5 % in ≥ 7 of 8 and 90 % interval covers C in ≥ 7 of 8; Rohrer form preferred to linear (LOO) "
        "where R ≥ 20; residuals white enough that the interval is honest (test stated)",
    ),
    "04.2": Line(
        "Waveform tracking, 319 breaths at 50 Hz",
        "≥ 100 × faster than real time on 2 cores, one update ≤ 20 ms p99; 40-breath-ahead elastance 90 % band covers "
        "85–95 %",
    ),
    "04.3": Line(
        "MIMIC-III demo: next charted plateau given the settings that were then used, from the past only",
        "MAE below persistence of compliance and of plateau; 90 % coverage 87–93 % per-stay mean; interval score ≤ 0.9 "
        "× the empirical leave-one-stay-out interval; the 50 PEEP steps ≥ 2 cmH2O reported separately",
    ),
    "04.4": Line(
        "Virtual multi-unit lungs, fitted at baseline PEEP, forecast to +12 cmH2O in steps of 2",
        "90 % of absolute peak-pressure errors ≤ 3.95 cmH2O; P(PIP > 40) alarm at +2…+6: sensitivity ≥ 0.96, "
        "specificity ≥ 0.88; recruited volume median error ≤ 0.013 L; bands cover 85–95 %",
    ),
    "04.5": Line(
        "ARDS table (healthy, mild, moderate, severe)",
        "PaO2, P/F, SpO2, PaCO2, pH, shunt in all published ranges at the stated settings, with one severity-ordered "
        "parameter set, trend alone not counted",
    ),
    "04.6": Line(
        "Mechanical power, 1,000 random settings",
        "equals Gattinoni within 1 %; Giosa bias within ±0.6 J/min",
    ),
    "04.7": Line(
        "Gas exchange: one FiO2 against ≥ 3 FiO2 steps",
        'two-parameter contraction > 0.7 with steps; verdict "not determined" with one FiO2 on the flat part of the '
        "dissociation curve",
    ),
    "04.8": Line(
        "Content and dissociation: round trips, mass balance of O2 and CO2",
        "1e-6 relative; monotone; gradients finite from 5 to 700 mmHg",
    ),
    "04.9": Line(
        "SBC of each respiratory model, 200 replicates",
        "inside the 99 % envelope",
    ),
    "05.1": Line(
        "Six-chamber golden values: nominal, no septum, Rsys × 0.58, Pth = 0, ±150 mL, 1,000–2,500 mL",
        "≤ 1 % on volumes, stroke volume, mean pressures; total volume drift < 0.01 % in 40 s",
    ),
    "05.2": Line(
        "Three-chamber data tiers",
        "numerical ranks 3/4/4/5/7; ventricular elastance and outflow resistance never called determined in the first "
        "four; ΔSV % = ΔSBV % to 1e-3; a known fluid step lifts SBV contraction from 0.37 to ≥ 0.85",
    ),
    "05.3": Line(
        "Windkessel of 2, 3, 4 elements",
        "recovered; globally identifiable verdict; T-tube not",
    ),
    "05.4": Line(
        "Ensinger's five rates, healthy parameter set, not tuned on this table",
        "plasma, systolic, diastolic and heart rate within the published ranges in ≥ 18 of 20",
    ),
    "05.5": Line(
        "Beloeil: half-life at SAPS II 20 and 60; MAP rise at 3.5 µg/L",
        "2.0 ± 0.1 and 6.8 ± 0.3 min; 21.8 ± 1 mmHg; C50 off by ten and a rate constant off by 3,600 are caught",
    ),
    "05.6": Line(
        "MIMIC-III demo, every stay with arterial MAP and norepinephrine: MAP 15–60 min after each of the rate changes "
        "and boluses, from the past and the treatment given",
        "MAE below persistence and below a linear model fitted leave-one-stay-out; 90 % coverage 87–93 % per-stay "
        "mean; interval score ≤ 0.9 × the empirical interval",
    ),
    "05.7": Line(
        "24 patients × 10 ventilator settings: PPV at the nine others from one",
        "MAE ≤ 1.08 percentage points (the leave-one-out power law), 90 % coverage 85–95 %; PPV falls from 10 to 4 "
        "mL/kg in ≥ 94 % with median ratio .51 ± .08; no strong rate effect built in",
    ),
    "05.8": Line(
        "The same patients, response to 250 mL, leave one out",
        "probability calibrated (reliability slope 0.7–1.3); AUC with its interval beside PPV alone and the CVP "
        "negative control; few responders: said so",
    ),
    "05.9": Line(
        "Hemorrhage curve, 0–40 % loss, reflexes on",
        "cardiac output and MAP within ±10 points at every digitized point",
    ),
    "05.10": Line(
        "Fluid kinetics: crystalloid expansion, septic bolus decay",
        "50–60 % during and 15–20 % at 30 min; CI +8.6…28.1 % at 5 min and −15.2…3.0 % at 60 min",
    ),
    "05.11": Line(
        "SBC of each fitted model, 200 replicates; speed of one six-chamber steady beat with gradient; 1,000 patients "
        "vmapped",
        "inside the envelope; ≤ 1/20 of simulating 40 s; reported",
    ),
    "06.1": Line(
        "Entries of `ls twinprob`; imports that point up; circles; longest file, longest function",
        "≤ 18; 0; 0; ≤ 400; ≤ 60",
    ),
    "06.8": Line(
        "`make test`, `.ci/run`, cold, quiet",
        "≤ 10 min, ≤ 40 min; number of tests and their time by wing printed",
    ),
    "06.9": Line(
        "The script of ≥ 120 faults",
        "≥ 95 % noticed; survivors listed with a reason",
    ),
    "06.2": Line(
        "A corpus of ≥ 60 hostile or broken files made by the tests (class paths, module attributes, "
        "distribution names, huge shapes, truncations at 20 places, foreign netCDF, HTML and formula text in "
        "every string, symlinks) through `load`, `load_cohort`, `load_population`, the CLI and the report",
        "0 run, 0 tracebacks of a lower library, each refused by name; report and CSV inert in a browser and a "
        "spreadsheet",
    ),
    "06.3": Line(
        "Every file that version 0.1 saved (fitted, updated, cohort, population; kept as small fixtures)",
        "loads, forecasts bit-identically",
    ),
    "06.4": Line(
        "Kill −9 during save, 200 times at random moments, one and two writers; disk full by `RLIMIT_FSIZE`; 200 "
        "files with 1–8 flipped bytes; a field edited",
        "always one whole file, the old or the new; process alive, twin usable; every changed file refused, "
        "naming what does not fit",
    ),
    "06.5": Line(
        "120 fits of different lengths and 5,000 updates in one process",
        "alive; memory maps ≤ 20,000; resident memory after warm-up grows ≤ 2 % per 1,000 updates; p99 flat",
    ),
    "06.6": Line(
        "8 threads × 50 mixed verbs",
        "finishes; every result equals the single-threaded one bit for bit",
    ),
    "06.7": Line(
        "24 updates with one key against 24 keys",
        "spread within Monte Carlo error of each other and of one 24-h forecast",
    ),
    "06.10": Line(
        "20 patients of different lengths, weights and numbers of measurements, each fitted, updated, forecast, "
        "for ICING and a user's model with a covariate",
        "≤ 6 programs a verb in all, compiling ≤ 25 % of the time",
    ),
    "07.1": Line(
        "`shared/cases`, all 26, each also with ≥ 5 variations of its kind made by the tests (other variable, "
        "unit, table, order)",
        "26 of 26 right, refused by name, or counted and said; 0 silent",
    ),
    "07.2": Line(
        "Property tests (hypothesis): orders, doubles, overlaps, shuffled rows, splits of one infusion into two, "
        "unit changes, time zones",
        "the amount given between any two times equals the table's by hand, 1e-9",
    ),
    "07.3": Line(
        "Leakage by known time: MIMIC-III demo and a IV-layout rendering, every stay: `until(t)` for 50 random t",
        "nothing known after t anywhere in the object; forecasts unchanged when later rows are shuffled",
    ),
    "07.4": Line(
        "Ledger on all 136 stays, all domains",
        "balances; the ten largest reasons printed",
    ),
    "07.5": Line(
        "What it changes: lines 02.5, 04.3, 05.6 measured again with known times and the new inputs",
        "figures before and after, stay counts equal",
    ),
    "07.6": Line(
        "200 bad files and tables made at random (hypothesis) through every reader and the CLI",
        "one line each, naming file row, column, value, remedy; no traceback; nothing written",
    ),
    "07.7": Line(
        "Reading speed of the MIMIC demo, all domains, all stays",
        "≤ 1.2 × today's sum of three readers; chartevents in chunks, memory ≤ 500 MB on a table ten times as long",
    ),
    "08.1": Line(
        "Glucose, MIMIC-III demo, known times: next value in ≈ 1 h and ≈ 2 h by `ICING.charted()` with a population "
        "of other persons, with intervals by bootstrap over persons",
        "score ≤ 0.85 and ≤ 0.70 × the empirical interval's, and ≤ 1.00 × the regression's; coverage 87–93 %; MAE ≤ "
        "the regression's; residuals no longer depend on the last value or the insulin rate (slopes within 2 standard "
        "errors of 0); first 8 h below persistence",
    ),
    "08.2": Line(
        "The plain user: `ICING.charted()` with the population that ships, three lines of code",
        "equals line 08.1 within 2 %",
    ),
    "08.3": Line(
        "Plateau pressure, MIMIC-III demo and a half of the eICU demo, learned on the other: all pairs; PEEP steps; "
        "first four of a stay",
        "score ≤ 0.80 × the empirical interval's, MAE ≤ every one-line rival, coverage 87–93 %; steps: coverage ≥ "
        "85 %, score ≤ 0.75 ×; first four: MAE ≤ last plateau",
    ),
    "08.4": Line(
        "Plateau pressure with peaks charted",
        "score no worse than without",
    ),
    "08.5": Line(
        "Mean pressure after norepinephrine changes (line 05.6) by the model that ships",
        "as line 05.6 or better; jumps > 20 mmHg covered ≥ 80 %",
    ),
    "08.6": Line(
        "PaO2 after ≥ 30 min and SpO2 in the next hour, two sets of real stays",
        "MAE ≤ 0.9 × P/F persistence and ≤ last SpO2; coverage 87–93 %; never > 100 %",
    ),
    "08.7": Line(
        "PPV, leave-one-patient-out, by rate",
        "coverage 85–95 % in each class of rates, MAE ≤ 1.0",
    ),
    "08.8": Line(
        "Test lung: 8 air runs with every choice of the apparatus fixed beforehand and written down; the same choices "
        "on a simulated oxygen run (gas, gain, delay varied)",
        "C within 5 % in ≥ 7, covered in ≥ 7; the same on oxygen",
    ),
    "08.9": Line(
        "Bands of 40 and 800 breaths on recordings and on AR(.3–.9) lungs",
        "coverage 85–95 % and score ≤ 1.0 × the quantiles of the last 100 breaths; ≤ 1 false change per 24 h",
    ),
    "08.10": Line(
        "Recalibration under shift: the twin's standard deviations wrong by × .6–1.6, patients of another population "
        "(simulated)",
        "87–93 % after 20 own forecasts, score within 10 % of the right twin's",
    ),
    "08.11": Line(
        "Coverage of the population intervals of every unknown on patients left out",
        "85–95 %",
    ),
    "08.12": Line(
        "`ChartedMechanics`, `ICING.charted()`, pressure: fit at admission, after 1, 2, 5 values",
        "trusted (k-hat < 0.7) in ≥ 95 % of real stays, ≤ 3 s each warm",
    ),
    "08.13": Line(
        "Dense pressure with a wandering level and a drug's effect: synthetic plant with AR noise of .5–20 min, 31 "
        "patients, last dose forecast",
        "coverage 85–95 %, MAE within 5 % of the truth-knowing fit; 20,000 points fitted in ≤ 10 s",
    ),
    "08.14": Line(
        "Every domain with the effect of the treatment switched off: difference in score by size of change, bootstrap "
        "over patients",
        "shown for all; where it is nothing, twin, page and `identify` say so",
    ),
    "08.15": Line(
        "Fit of a 24-, 96- and 240-h stay, pressure and glucose",
        "≤ 3 × from 24 to 240 h, ≤ 1 GB, trusted, same forecast as the full fit within Monte Carlo error",
    ),
    "09.1": Line(
        "Models of one's own with known answers: a stiff network, two modes with noise of unknown size, a lag; 20 keys "
        "(5 of verdicts)",
        "right, or refused by name, in all; trustworthy never with a wrong quantile, mode or verdict",
    ),
    "09.2": Line(
        "`one_comp_mm_elim_abs` (posteriordb), default fit, 20 keys, against quadrature",
        "all 12 quantiles within 5 % in ≥ 19 of 20, else the tail is named",
    ),
    "09.3": Line(
        "Robertson, a 50-state chain, Boehm-like and Elowitz-like networks, default settings",
        "solved, density within 2e-3 of rtol 1e-10, choice said; stiff fit ≤ 10 × the fixed-step one",
    ),
    "09.4": Line(
        "Five PEtab problems of the public collection typed in or read (densities at nominal from the collection), "
        "several conditions, events, shared noise",
        "density within 2e-3; optimum within .5 of the best known; verdicts against literature",
    ),
    "09.9": Line(
        "Friction: each of a modeler's usual mistakes, and the page on adding a model",
        "one sentence each; docs/add_a_model.md shows two experiments, a lag, replicates, a shared noise, and its code "
        "runs",
    ),
    "10.1": Line(
        "Every protocol table cell by cell and for totality; state machines against hand-made traces",
        "100 %; gaps of the printed tables listed",
    ),
    "10.2": Line(
        "`recommend`, metabolic: 500 virtual patients × 24 decisions, 5 % limit at 4.4 mmol/L, plant = model",
        "observed over stated risk .85–1.15 over all decisions and by thirds of stated risk; violations where the "
        "limit bound ≤ 6.5 %, share bound shown; time in band within 3 points of an oracle that knows the "
        "parameters' law; caps broken 0",
    ),
    "10.3": Line(
        "The same with SDs × 0.8, × 0.6, × 1.5, sensitivity believed 20 % low and high, meter 15 % aware and unaware",
        "the *test* fails each wrong one (shown), passes the right one; the patient's own recent errors widen or "
        'abstain so that × 0.8 and "20 % low" come back under O/E 1.3',
    ),
    "10.4": Line(
        "`recommend`, respiratory: 200 multi-unit lungs (the independent plant), PEEP and tidal volume under "
        "P(plateau > 30) ≤ 10 %, P(ΔP > 15) ≤ 10 %; circulation: 250 septic patients, potency × 0.1–10, wandering tone",
        "O/E .85–1.15 each, or the miss explained and the recommender abstains there; median |PE| < 5 %, MDAPE < 5 %, "
        "wobble < 3 %, divergence < 0 at 1×; in ±5 mmHg ≥ 91.6 % at 1×, and ≥ 30 points above `NurseTitration`",
    ),
    "10.5": Line(
        "Abstention: shuffled doses, stale data, a patient 6 SD outside, an unidentified effect, failed diagnosis",
        "≥ 95 % abstain, reason right; ≤ 10 % among well-measured; among abstentions the violation rate it would have "
        "had ≥ 2 × that of the accepted",
    ),
    "10.6": Line(
        "Monotone: dose as limit → 0, risk in dose, less insulin never riskier low; order and unit invariance; same "
        "key, same ranking",
        "property tests",
    ),
    "10.7": Line(
        "Virtual trial order: Yale targets (rates below 70 mg/dL and means), Yale against Leuven (SD, < 60), STAR-like "
        "1–3 → 1–6 h, meter 5 → 15 %",
        "all signs right; STAR-like 4.4–8.0: 83–91 % of hours, 11–13 measurements a day, patients < 2.2 under 3 %",
    ),
    "10.8": Line(
        "Every mismatch alone and together × every insulin arm, 200 patients",
        "table in the docs: which mismatch breaks which arm",
    ),
    "10.9": Line(
        "Self- and cross-validation",
        "within 10 % of the arm's own distribution; the gap to the charted MIMIC distribution reported",
    ),
    "10.10": Line(
        "Speed, 2 cores, after compilation: table protocols 1,000 × 72 h; `StarLike` 1,000 × 72 h; twin-based 100 × "
        "72 h; one `recommend` with 200 candidates",
        "≤ 5 s; ≤ 30 s; ≤ 300 s; ≤ 1 s warm",
    ),
    "10.11": Line(
        "Interrupt and kill −9 of a trial of 1,000; resumed",
        "nothing lost but the batch under way; bit-identical to undisturbed",
    ),
    "11.1": Line(
        "MIMIC-III demo, MAP < 65 within 1, 4, 8 h, all stays with arterial pressure (47 with onsets), everything "
        "learned leave-one-stay-out",
        "at 4 h AUROC ≥ .81 pooled and above mean-of-three within stay; at 3.6 alarms per patient-day recall ≥ .80; "
        "stay-bootstrap intervals; Brier and reliability of P(event), O/E .9–1.1; otherwise said not to be better",
    ),
    "12.1": Line(
        "The whole MIMIC-III demo, all shipped studies, one command each",
        "≤ 45 min in all on 2 cores, ≤ 6 GiB; flow adds up to 136; report opened, screenshots looked at",
    ),
    "12.2": Line(
        "kill −9 one of two Dask workers midway; interrupt; resume",
        "every patient exactly once; results bit-identical to an undisturbed run and to one process",
    ),
    "12.3": Line(
        "3 of 50 patients broken on purpose (unit, empty, never ends)",
        "47 done, 3 with reasons, time limit per patient kept",
    ),
    "12.4": Line(
        "Scores against closed forms and scoringrules; a perfect forecaster and one 20 % too narrow",
        "exact; inside and outside its bootstrap interval",
    ),
    "12.5": Line(
        "`fit_cohort` 1,000 × 48 h after compilation; 100 → 10,000; 1 → 2 workers",
        "≤ 45 s; linear within 15 %, ≤ 3 GiB; ≥ 1.7 ×",
    ),
    "12.6": Line("Real stays of the demo, all 15 of 02.5: compiling in all", "≤ 60 s; ≤ 8 programs"),
    "12.7": Line("III, IV, MEDS and tidy renderings of one stay", "equal records"),
    "12.8": Line(
        "Exported files read by plain xarray, pandas, pyarrow, zarr, `fhir.resources`, jsonschema",
        "values and units equal",
    ),
    "12.9": Line("chartevents ×20", "≥ 1 million rows/s per core or 3 × pandas.read_csv; memory flat"),
    "13.1": Line(
        "The twelve first-hour tests: install; import; README in a fresh notebook; own CSV with faults; units; failing "
        "solves; a bad model; save and reload; ArviZ calls; update; what-if; 50 patients, 2 broken, Ctrl-C, report",
        "12 of 12",
    ),
    "13.2": Line(
        "The page driven: 30 slider moves in each domain",
        "median ≤ 300 ms, p95 ≤ 800 ms warm; every number on the page equals the API's for the same key",
    ),
    "13.3": Line("axe on page, report and the front page of the documentation", "0 serious, 0 critical"),
    "13.4": Line(
        "CDS Hooks and FHIR answers",
        "validate against published schemas; abstention is an info card with the reason",
    ),
    "13.5": Line(
        "Built documentation",
        "0 public methods without anchor; 0 broken links; 0 external requests (Chromium, offline); every figure opened "
        "and looked at",
    ),
    "13.6": Line("All notebooks in a fresh Jupyter kernel", "run, no warning, figures looked at, dark mode readable"),
    "13.7": Line(
        "50 concurrent what-ifs on 5 twins",
        "no wrong patient, no mixed answer, p99 ≤ 3 s, memory flat over 2,000",
    ),
}
