"""How engines share a device, and how they shrink when memory runs out."""

import pytest

from axiom.config import ModelConfig, SamplingConfig, VLLMConfig
from axiom.errors import ConfigError, EngineError
from axiom.models import resolve_model
from axiom.sampling import vllm_plan
from axiom.sampling.vllm import engine_arguments
from axiom.sampling.vllm_plan import Plan, make_plan, out_of_memory

GIB = 1 << 30
MODEL = ModelConfig(path="smollm2-135m", device="cuda")


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of so many GiB, free and in all, as torch would report it: no machine of the tests has one."""
    import torch

    def of(free_gib, total_gib):
        monkeypatch.setattr(vllm_plan, "resolve_device", lambda _: "cuda")
        monkeypatch.setattr("axiom.sampling.vllm.resolve_device", lambda _: "cuda")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free_gib * GIB, total_gib * GIB))

    return of


def planned(**settings):
    return make_plan(resolve_model(MODEL.path), MODEL, SamplingConfig(vllm=VLLMConfig(**settings)))


@pytest.mark.parametrize(
    ("total", "settings", "engines", "sleeps"),
    [
        (140, {}, 2, False),
        (24, {}, 2, True),
        (14, {}, 1, True),
        (140, {"gpu_memory_utilization": 0.95}, 2, True),
        (140, {"sleep": "always"}, 2, True),
        (24, {"sleep": "never"}, 2, False),
        (140, {"replicas": 3}, 3, False),
    ],
)
def test_engines_share_what_there_is_and_sleep_where_training_needs_it(gpu, total, settings, engines, sleeps):
    gpu(total, total)
    plan = planned(**settings)
    assert (plan.engines, plan.sleeps) == (engines, sleeps)
    assert plan.engines * (plan.cache_bytes + vllm_plan.ENGINE_OVERHEAD_BYTES) <= total * GIB
    assert ("sleep while" in str(plan)) is sleeps


def test_a_gpu_without_room_is_refused_with_a_way_out(gpu):
    gpu(6, 6)
    with pytest.raises(ConfigError, match=r"leave each of 1 engines .* raise it, free memory or lower"):
        planned()


def test_engines_plan_with_what_others_have_left_free(gpu):
    gpu(40, 140)
    plan = planned(gpu_memory_utilization=0.6)
    assert plan.engines * (plan.cache_bytes + vllm_plan.ENGINE_OVERHEAD_BYTES) <= 40 * GIB
    assert plan.engines * plan.share * 140 <= 40
    assert plan.sleeps


def test_a_little_more_or_less_free_memory_leaves_the_cache_as_large(gpu):
    """Else vLLM would compile anew at each start: the size is part of its compilations' names."""
    sizes = set()
    for free in range(40, 80):
        gpu(free, 140)
        sizes.add(planned(gpu_memory_utilization=0.95).cache_bytes)
    assert 2 <= len(sizes) <= 12
    gpu(60, 140)
    usual = planned(gpu_memory_utilization=0.95).cache_bytes
    assert usual >= 7 / 8 * (60 * vllm_plan.MOST_OF_FREE / 2 - 5) * GIB


def test_an_engine_that_ran_out_of_memory_is_followed_by_a_smaller_one():
    plan = Plan(2, 1024, 32 * GIB, 0.25, False, 70 * GIB)
    half = plan.lowered()
    assert half is not None
    assert (half.rows, half.cache_bytes, half.share) == (512, 16 * GIB, 0.125)
    halvings = 0
    while half is not None:
        halvings, half = halvings + 1, half.lowered()
    assert halvings < 12


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 64 GiB", True),
        ("ValueError: Free memory on device cuda:0 (42.77/139.8 GiB) on startup is less than desired", True),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", True),
        ("ValueError: No available memory for the cache blocks", True),
        ("KeyError: 'lm_head.weight'", False),
    ],
)
def test_running_out_of_memory_is_told_from_other_deaths(words, expected):
    assert out_of_memory(EngineError(f"engine vllm-0 (pid 7) died with status 1: {words}")) is expected


def test_a_plan_is_what_the_engine_is_started_with(gpu):
    gpu(140, 140)
    plan = planned().lowered()
    assert plan is not None
    arguments = engine_arguments(resolve_model(MODEL.path), MODEL, SamplingConfig(), plan)
    assert arguments["max_num_seqs"] == plan.rows
    assert arguments["kv_cache_memory_bytes"] == plan.cache_bytes
    assert arguments["gpu_memory_utilization"] == plan.share
    assert max(arguments["compilation_config"]["cudagraph_capture_sizes"]) == plan.rows
