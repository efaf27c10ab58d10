"""The documented optimizers and their learning-rate schedules."""

from instrec.learning.backend import keras

WARMUP = 0.05  # share of the steps over which the cosine schedule rises


def course(
    schedule: str, learning_rate: float, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning-rate schedule of a training.

    Parameters
    ----------
    schedule : {'constant', 'cosine'}
        Constant; or rising over 5 % of the steps, then falling to 0.
    learning_rate : float
        Its maximum.
    steps : int
        Batches of a whole pass.

    Returns
    -------
    float or LearningRateSchedule
    """
    if schedule == "constant":
        return learning_rate
    warmup = max(1, round(WARMUP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )


def make_optimizer(
    name: str, learning_rate: float | keras.optimizers.schedules.LearningRateSchedule, epochs: int
) -> keras.optimizers.Optimizer:
    """Build an optimizer with the documented parameters.

    Parameters
    ----------
    name : {'adam', 'sgd'}
        Adam, or stochastic gradient descent with Nesterov momentum.
    learning_rate : float or LearningRateSchedule
        Initial learning rate, or its schedule.
    epochs : int
        SGD's rate, if it is a number, decays by `learning_rate / epochs` per step, as Keras 2's
        `decay` did.

    Returns
    -------
    keras.optimizers.Optimizer
    """
    # Named, or Keras would number them, and files would depend on how many trained in one run.
    if name == "adam":
        return keras.optimizers.Adam(
            learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8, name=name
        )
    if isinstance(learning_rate, int | float):
        learning_rate = keras.optimizers.schedules.InverseTimeDecay(
            learning_rate, decay_steps=1, decay_rate=learning_rate / epochs
        )
    return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True, name=name)
