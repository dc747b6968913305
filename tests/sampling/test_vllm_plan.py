"""How engines share a device, and how they shrink when memory runs out."""

from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from axiom.config import ExperimentConfig, ModelConfig, SamplingConfig, VLLMConfig
from axiom.errors import ConfigError, EngineError
from axiom.learners import check_engine
from axiom.learners.engine import check_engine as check_shape
from axiom.models import resolve_model
from axiom.sampling import vllm_plan
from axiom.sampling.vllm import engine_arguments, shared_out, weights_in_force
from axiom.sampling.vllm_plan import Plan, make_plan, out_of_memory

GIB = 1 << 30
MODEL = ModelConfig(path="smollm2-135m", device="cuda")


@pytest.fixture
def gpu(monkeypatch):
    """GPUs of so many GiB, free and in all, as torch would report them: no machine of the tests has one."""
    import torch

    def of(free_gib, total_gib, count=1):
        monkeypatch.setattr(vllm_plan, "resolve_device", lambda _: "cuda")
        monkeypatch.setattr("axiom.sampling.vllm.resolve_device", lambda _: "cuda")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (free_gib * GIB, total_gib * GIB))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

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


@pytest.mark.parametrize(
    ("count", "settings", "groups", "engines"),
    [
        (1, {}, (None,), 2),
        (4, {}, (None,), 2),
        (1, {"data_parallel": 0}, (None,), 2),
        (4, {"data_parallel": 0, "replicas": 1}, ("0", "1", "2", "3"), 4),
        (4, {"data_parallel": 2}, ("0", "1"), 4),
        (4, {"data_parallel": 0, "tensor_parallel": 2}, ("0,1", "2,3"), 2),
        (3, {"data_parallel": 0, "tensor_parallel": 2}, ("0,1",), 1),
        (4, {"tensor_parallel": 4}, ("0,1,2,3",), 1),
    ],
)
def test_each_gpu_or_group_of_gpus_has_engines_of_its_own(gpu, count, settings, groups, engines):
    gpu(80, 80, count)
    plan = planned(**settings)
    assert (plan.groups, plan.engines) == (groups, engines)
    assert plan.gpus == len([name for group in groups for name in (group or "0").split(",")])
    assert plan.engines // len(groups) * plan.share <= 0.5, "of one GPU, however many there are"
    assert ("GPUs" in str(plan)) is (groups != (None,))
    assert plan.lowered().groups == groups


def test_the_gpus_are_those_that_this_process_sees(gpu, monkeypatch):
    gpu(80, 80, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert planned(data_parallel=0).groups == ("5", "7")


def test_the_fullest_gpu_decides_what_engines_take(gpu, monkeypatch):
    gpu(80, 80, 2)
    free = {0: 78 * GIB, 1: 20 * GIB}
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda index=0: (free[index], 80 * GIB))
    both = planned(data_parallel=2)
    assert both.engines // 2 * (both.cache_bytes + vllm_plan.ENGINE_OVERHEAD_BYTES) <= 20 * GIB
    assert planned().cache_bytes > both.cache_bytes


@pytest.mark.parametrize(
    ("settings", "needed"),
    [({"data_parallel": 3}, 3), ({"tensor_parallel": 4}, 4), ({"data_parallel": 0, "tensor_parallel": 3}, 3)],
)
def test_more_gpus_than_are_visible_are_refused_before_a_run(gpu, settings, needed):
    gpu(80, 80, 2)
    config = ExperimentConfig(model=MODEL, sampling=SamplingConfig(engine="vllm", vllm=VLLMConfig(**settings)))
    with pytest.raises(ConfigError, match=rf"need {needed} GPUs and 2 are visible; lower them"):
        check_engine(config)


def test_gpus_that_share_weights_exchange_adapters_alone(gpu):
    gpu(80, 80, 2)
    shared = SamplingConfig(engine="vllm", vllm=VLLMConfig(tensor_parallel=2))
    assert weights_in_force(MODEL, shared) == "adapter"
    arguments = engine_arguments(resolve_model(MODEL.path), MODEL, shared, make_plan_of(shared))
    assert (arguments["tensor_parallel_size"], arguments["enable_lora"]) == (2, True)
    merged = SamplingConfig(engine="vllm", vllm=VLLMConfig(tensor_parallel=2, weights="merged"))
    with pytest.raises(ConfigError, match=r"'merged' cannot be put in force .* set sampling.vllm.weights = 'adapter'"):
        check_engine(ExperimentConfig(model=MODEL, sampling=merged))
    from transformers import AutoConfig

    skeleton = SimpleNamespace(config=AutoConfig.from_pretrained(resolve_model(MODEL.path)))
    with pytest.raises(ConfigError, match=r"tensor_parallel = 2 does not divide the model's 9 attention heads; set a"):
        check_shape(ExperimentConfig(model=MODEL, sampling=shared), skeleton)


def make_plan_of(sampling):
    return make_plan(resolve_model(MODEL.path), MODEL, sampling)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 1000), max_size=30), st.integers(1, 5))
def test_prompts_are_shared_out_by_their_work_alone(work, engines):
    home = shared_out(work, engines)
    assert home == shared_out(dict(reversed(list(work.items()))), engines)
    assert home.keys() == work.keys()
    loads = [sum(work[prompt] for prompt in work if home[prompt] == engine) for engine in range(engines)]
    assert max(loads) - min(loads) <= max(work.values(), default=0)
