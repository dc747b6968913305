"""Tiny configurations of the causal language models that transformers ships, with random weights."""
# ruff: noqa: TID253

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 257
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "embedding_size": 32,
    "emb_dim": 32,
    "dim": 32,
    "intermediate_size": 48,
    "ffn_dim": 48,
    "n_inner": 48,
    "ffn_hidden_size": 48,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "dim_ff": 48,
    "d_inner": 48,
    "dff": 48,
    "feed_forward_size": 48,
    "n_positions": 256,
    "n_ctx": 256,
    "num_hidden_layers": 2,
    "num_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "decoder_layers": 2,
    "encoder_layers": 2,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "attention_head_dim": 8,
    "kv_channels": 8,
    "rotary_dim": 4,
    "max_position_embeddings": 256,
    "max_seq_len": 256,
    "sliding_window": 6,
    "attention_chunk_size": 7,
    "window_size": 6,
    "use_sliding_window": True,
    "max_window_layers": 1,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCABULARY,
    "q_lora_rank": 12,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 12,
    "v_head_dim": 6,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "num_experts_per_token": 2,
    "moe_k": 2,
    "moe_topk": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "n_shared_experts": 1,
    "shared_expert_intermediate_size": 16,
    "moe_shared_expert_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "expert_ffn_hidden_size": 16,
    "zero_expert_num": 1,
    "index_n_heads": 2,
    "index_head_dim": 8,
    "index_topk": 64,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_expand": 2,
    "mamba_chunk_size": 4,
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 8,
    "state_size": 8,
    "n_groups": 1,
    "chunk_size": 4,
    "lru_width": 32,
    "conv_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_num_heads": 2,
    "linear_head_dim": 8,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "block_size": 8,
    "attention_window_size": 6,
    "num_global_layers": 1,
    "is_decoder": True,
    "logits_scaling": 4.0,
    "logit_scale": 0.25,
    "residual_multiplier": 0.5,
    "embedding_multiplier": 3.0,
    "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 2.0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HYBRID = ["linear_attention", "full_attention", "linear_attention", "full_attention"]
MIXED = ["sliding_attention", "full_attention"]
PARTICULAR: dict[str, dict[str, Any]] = {
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 2.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32},
    },
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "intermediate_size": [48] * 4,
        "activation_sparsity_pattern": [0.0] * 4,
    },
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "zamba": {"num_hidden_layers": 3},
    "zamba2": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"]},
    "bamba": {"num_hidden_layers": 3, "attn_layer_indices": [1]},
    "granitemoehybrid": {"num_hidden_layers": 3, "layer_types": ["mamba", "attention", "mamba"]},
    "jamba": {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_next": {"num_hidden_layers": 4, "layer_types": HYBRID},
    "qwen3_5_text": {"num_hidden_layers": 4, "layer_types": HYBRID},
    "qwen3_5_moe_text": {"num_hidden_layers": 4, "layer_types": HYBRID},
    "qwen4_exp_text": {"num_hidden_layers": 4, "layer_types": HYBRID},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "mamba2": {"num_heads": 8},
    "zaya": {"num_experts_per_tok": 1},
    "xmod": {"default_language": "en_XX"},
}


OF_IMAGES: dict[str, Any] = {
    "hidden_size": 32,
    "embed_dim": 32,
    "depth": 2,
    "intermediate_size": 48,
    "image_size": 28,
    "patch_size": 14,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_heads": 4,
    "out_hidden_size": 32,
    "mlp_ratio": 2,
    "head_dim": 8,
    "fullatt_block_indexes": [1],
    "vision_output_dim": 32,
    "projector_input_dim": 32,
    "projector_output_dim": 32,
}
WRAPPED: dict[str, Any] = {
    "image_token_id": 250,
    "image_token_index": 250,
    "video_token_id": 251,
    "vision_start_token_id": 252,
    "vision_end_token_id": 253,
    "boi_token_index": 254,
    "eoi_token_index": 255,
    "mm_tokens_per_image": 4,
    "pad_token_id": 0,
}
OF_TEXT: dict[str, dict[str, Any]] = {
    name: {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}
    for name in ("qwen2_vl", "qwen2_5_vl")
}
WRAPPERS = (
    "aya_vision",
    "gemma3",
    "gemma4",
    "idefics3",
    "internvl",
    "llama4",
    "llava",
    "mistral3",
    "paligemma",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_5",
    "qwen3_vl",
    "smolvlm",
)
"""Models of images and texts around a language model."""


def tiny_wrapper(model_type: str) -> PretrainedConfig:
    """The configuration of one of WRAPPERS with small sizes, those of its parts too."""
    plain = AutoConfig.for_model(model_type)

    def named(config: PretrainedConfig, sizes: dict[str, Any]) -> dict[str, Any]:
        names = set(config.to_dict()) | set(config.attribute_map)
        return {key: value for key, value in sizes.items() if key in names} | {"model_type": config.model_type}

    parts = {name: getattr(plain, name) for name in plain.sub_configs if getattr(plain, name, None) is not None}
    sizes = {name: named(part, SIZES if "text" in name else OF_IMAGES) for name, part in parts.items()}
    sizes["text_config"] |= PARTICULAR.get(parts["text_config"].model_type, {}) | OF_TEXT.get(model_type, {})
    kinds = getattr(parts["text_config"], "layer_types", None) or ()
    if kinds:
        sizes["text_config"].setdefault("layer_types", MIXED if "sliding_attention" in kinds else None)
    outer = named(plain, WRAPPED)
    outer.pop("model_type")
    return AutoConfig.for_model(model_type, **outer, **sizes)


def tiny_config(model_type: str, **changes: Any) -> PretrainedConfig:
    """The configuration of `model_type` with every size small that it has."""
    plain = AutoConfig.for_model(model_type)
    names = set(plain.to_dict()) | set(plain.attribute_map)
    sizes = {key: value for key, value in SIZES.items() if key in names}
    if "kv_lora_rank" in names:  # latent attention has as many key heads as query heads
        sizes |= {"num_key_value_heads": 4, "head_dim": 4}
    sizes |= PARTICULAR.get(model_type, {})
    config = AutoConfig.for_model(model_type, **(sizes | changes))
    if "layer_types" not in changes and set(getattr(config, "layer_types", None) or ()) == {"sliding_attention"}:
        return tiny_config(model_type, **changes, layer_types=MIXED)
    return config


def tiny_model(config: PretrainedConfig, seed: int = 0) -> Any:
    """The model with every parameter random, those that begin as zeros or ones too."""
    torch.manual_seed(seed)
    kind = AutoModelForCausalLM if config.model_type in MODEL_TYPES else AutoModelForImageTextToText
    model = kind.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.add_(
                    0.2 * torch.randn_like(parameter) if parameter.ndim == 1 else 0.1 * torch.randn_like(parameter)
                )
    return model


MODEL_TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)

# Those of transformers' causal language models that take a second or less.
QUICK_TYPES = (
    "afmoe",
    "apertus",
    "arcee",
    "aria_text",
    "bamba",
    "bart",
    "bert",
    "big_bird",
    "biogpt",
    "bitnet",
    "blenderbot",
    "bloom",
    "codegen",
    "cohere",
    "cohere2",
    "ctrl",
    "cwm",
    "dbrx",
    "deepseek_v2",
    "deepseek_v3",
    "diffllama",
    "doge",
    "dots1",
    "electra",
    "ernie4_5",
    "exaone4",
    "exaone_moe",
    "falcon",
    "falcon_mamba",
    "flex_olmo",
    "fuyu",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma4_text",
    "glm",
    "glm4",
    "glm4_moe",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_oss",
    "gptj",
    "granite",
    "granitemoe",
    "granitemoehybrid",
    "granitemoeshared",
    "helium",
    "hunyuan_v1_dense",
    "jais2",
    "jamba",
    "jetmoe",
    "laguna",
    "lfm2",
    "lfm2_moe",
    "llama",
    "mamba",
    "mamba2",
    "minicpm3",
    "minimax",
    "ministral",
    "mistral",
    "mixtral",
    "modernbert-decoder",
    "moshi",
    "mpt",
    "nanochat",
    "nemotron",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "openai-gpt",
    "opt",
    "persimmon",
    "phi",
    "phi3",
    "phimoe",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "qwen3_5_text",
    "recurrent_gemma",
    "roberta",
    "rwkv",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder2",
    "vaultgemma",
    "xglm",
    "xlnet",
)
NOT_BUILT = (
    "blt",
    "cohere_compass_text",
    "emu3",
    "gemma3n",
    "gemma4_assistant",
    "gemma4_unified",
    "gemma4_unified_assistant",
    "got_ocr2",
    "mllama",
    "musicgen",
    "musicgen_melody",
    "phi4_multimodal",
    "qwen3_5_moe",
    "qwen4_exp",
    "qwen4_exp_text",
    "reformer",
    "zamba",
)
"""Large wrappers, and those that need sizes, parts or a package of their own."""
