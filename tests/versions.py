"""The tests that depend on versions of Python and of libraries: `make test-versions` runs these alone.

Each entry is the beginning of a test's name: a folder, a file, a test, or a test with its parameters.
"""

VERSIONS = (
    # the public names, where they stand, what is imported and what a wheel holds
    "tests/test_architecture.py",
    "tests/test_packaging.py",
    "tests/readers/test_examples.py",
    "tests/test_cli.py",
    "tests/test_docs.py::test_a_public_name",
    "tests/test_docs.py::test_examples_in_docstrings_run",
    "tests/test_docs.py::test_python_blocks_of_a_page_run_in_a_new_process[README.md]",
    "tests/test_notebooks.py::test_a_notebook_runs_without_errors_and_warnings[01",
    # pandas, pint and HDF5
    "tests/test_labels.py",
    "tests/test_storage.py",
    "tests/patient/",
    "tests/readers/",
    "tests/inference/test_encoding.py",
    "tests/inference/test_format.py",
    "tests/inference/test_twin.py",
    "tests/inference/test_cohort.py::test_a_cohort_survives_saving_and_loading",
    "tests/inference/test_population.py::test_a_population_survives_save_and_load",
    # one fit of each method, one forecast
    "tests/inference/test_fit.py",
    "tests/inference/test_nuts.py::test_a_linear_gaussian_posterior_has_its_exact",
    "tests/inference/test_smc.py::test_both_roots_keep_their_weights",
    "tests/inference/test_variational.py::test_a_linear_gaussian_posterior_has_its_exact",
    "tests/inference/test_filter.py::test_the_mean_is_that_of_the_exact_kalman_filter",
    "tests/forecasting/test_forecast.py",
    # JAX's tracing and diffrax
    "tests/dynamics/",
    "tests/diagnostics/test_structural.py",
    # ArviZ, matplotlib, SALib and scoringrules
    "tests/diagnostics/test_compare.py::test_the_better_model_comes_first",
    "tests/diagnostics/test_sensitivity.py",
    "tests/presentation/test_export.py",
    "tests/presentation/test_plots.py",
    "tests/presentation/test_report.py",
    "tests/validation/test_score.py",
)
