"""Training: updates of parameters, and what goes with them."""
from .adaptive import adamupdate, rmspropupdate
from .clipping import clip_gradients
from .lbfgs import LBFGSState, lbfgsupdate
from .schedules import LearnRateSchedule, scheduled_learn_rate
from .updates import dlupdate, sgdmupdate

__all__ = ["LBFGSState", "LearnRateSchedule", "adamupdate", "clip_gradients", "dlupdate", "lbfgsupdate",
           "rmspropupdate", "scheduled_learn_rate", "sgdmupdate"]
