"""What `axiom bench gpus` measures, on a CPU, where processes are what GPUs are elsewhere."""

import pytest

from axiom.bench.gpus import Load, measure
from axiom.bench.workload import shaped_model
from axiom.config import ModelConfig


@pytest.mark.slow
def test_one_process_and_two_train_on_the_same_tokens(tmp_path):
    model = ModelConfig(path=str(shaped_model("tiny", tmp_path)), device="cpu")
    one, two = measure(model, Load(4, 2, 8, 4), (1, 2), None, ("training", "study"))
    assert [(row.part, row.gpus, row.unit) for row in (one, two)] == [
        ("training", 1, "tokens"),
        ("training", 2, "tokens"),
    ]
    assert one.amount == two.amount > 0
    assert min(one.rate, two.rate) > 0
