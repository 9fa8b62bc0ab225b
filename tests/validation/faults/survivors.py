"""Why a fault may stay unnoticed, by its name."""

REASONS: dict[str, str] = {
    "inference/methods/variational.py: - 0.5 * size * np.log(2 * np.pi) - np → - np": (
        "the same constant for every proposal: weights are normalized, so that nothing is changed"
    ),
    "inference/update.py: usable = [cloud for cloud in clouds if cloud.time <= since] → "
    "usable = [cloud for cloud in clouds if cloud.time < since]": (
        "`since` is the number just below the time of what changed, at which no cloud stands: both say the same"
    ),
}
