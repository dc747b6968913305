"""Arms × paired seeds to a verdict: `config` what runs, `outcome` one run observed, `compare` the statistics."""

from axiom.study.compare import (
    Comparison as Comparison,
    by_arm as by_arm,
    check_arms as check_arms,
    compare as compare,
    compare_arms as compare_arms,
    compare_study as compare_study,
    gather as gather,
    paragraphs as paragraphs,
)
from axiom.study.config import (
    Reading as Reading,
    StudyConfig as StudyConfig,
    load_study as load_study,
    plan as plan,
    run_name as run_name,
)
from axiom.study.outcome import (
    Outcome as Outcome,
    read as read,
    stable_from as stable_from,
)
from axiom.study.results import (
    Study as Study,
    measurements as measurements,
)
