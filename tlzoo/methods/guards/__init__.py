"""What goes into a method and comes out of it is looked at, once for all methods of a kind.

Every base class of :mod:`tlzoo.methods.base` names the guards of its contract; a subclass that implements a guarded
function gets it wrapped, so that a method's file holds nothing but its paper. On the CPU a guard costs microseconds; on
an accelerator values are not looked at: asking would stall the queue (the Lightning modules ask at logging steps).
"""

from tlzoo.methods.checks import check_filled, check_output
from tlzoo.methods.guards.descriptions import guard_bind, guard_fit, guard_loss
from tlzoo.methods.guards.episodes import guard_base_set, guard_episodes
from tlzoo.methods.guards.pretrained import guard_penalty
from tlzoo.methods.guards.tasks import guard_jacobian, guard_tasks

__all__ = [
    "check_filled",
    "check_output",
    "guard_base_set",
    "guard_bind",
    "guard_episodes",
    "guard_fit",
    "guard_jacobian",
    "guard_loss",
    "guard_penalty",
    "guard_tasks",
]
