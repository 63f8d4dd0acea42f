"""The executor "inductor": whole programs compiled by torch's compiler, where there is a C++ compiler."""
from ..background import Jobs
from .executor import Heard
from .graph import NotInductor
from .process import NotCompiled, lacking

jobs = Jobs("gradloom compiles programs")

__all__ = ["Heard", "NotCompiled", "NotInductor", "jobs", "lacking"]
