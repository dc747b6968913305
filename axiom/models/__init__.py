"""The model: its folder, weights and adapters, its attention, and which of axiom's quick parts are proved for it."""

from axiom.models.weights import (
    FINGERPRINT_KEY as FINGERPRINT_KEY,
    WEIGHT_SUFFIXES as WEIGHT_SUFFIXES,
    Policy as Policy,
    auto_class as auto_class,
    bytes_to_train as bytes_to_train,
    cache_dir as cache_dir,
    check_adapter as check_adapter,
    fingerprint as fingerprint,
    load_model as load_model,
    load_tokenizer as load_tokenizer,
    opening as opening,
    read_settings as read_settings,
    resolve_device as resolve_device,
    resolve_dtype as resolve_dtype,
    resolve_model as resolve_model,
    stop_tokens as stop_tokens,
    weight_bytes as weight_bytes,
    weight_files as weight_files,
    weight_names as weight_names,
)
