"""The model: its folder, weights and adapters, its attention, and which of axiom's quick parts are proved for it."""

from axiom.models.weights import (
    FINGERPRINT_KEY,
    WEIGHT_SUFFIXES,
    Policy,
    cache_dir,
    check_adapter,
    fingerprint,
    load_model,
    load_tokenizer,
    opening,
    read_settings,
    resolve_device,
    resolve_dtype,
    resolve_model,
    stop_tokens,
    weight_bytes,
    weight_files,
)

__all__ = [
    "FINGERPRINT_KEY",
    "WEIGHT_SUFFIXES",
    "Policy",
    "cache_dir",
    "check_adapter",
    "fingerprint",
    "load_model",
    "load_tokenizer",
    "opening",
    "read_settings",
    "resolve_device",
    "resolve_dtype",
    "resolve_model",
    "stop_tokens",
    "weight_bytes",
    "weight_files",
]
