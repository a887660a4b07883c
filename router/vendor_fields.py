"""Which top-level fields of a request an upstream gets: the published ones of its dialect, and what many servers know.

A server behind `base_url` may be a proxy itself, to which `api_base`, `fallbacks` or a key in `metadata` says where the
conversation goes; what nobody published for the dialect stays here. The vendor's own API looks after itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

from registry.entities import Json
from registry.upstreams import UpstreamSettings
from router.chat import JsonObject
from router.client_telemetry import is_own_vendor
from router.hints import without_hints

# The vendors' own, as of openai 3.54 and anthropic 2.12, and what their older versions had.
_COMPLETION = (
    "model stream stream_options max_tokens temperature top_p n stop seed user logprobs logit_bias frequency_penalty "
    "presence_penalty"
)
_CHAT = (
    f"{_COMPLETION} messages audio function_call functions max_completion_tokens modalities moderation "
    "parallel_tool_calls prediction prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort "
    "response_format safety_identifier service_tier store tool_choice tools top_logprobs verbosity web_search_options"
)
_RESPONSES = (
    "model stream stream_options input instructions background context_management conversation image include "
    "max_output_tokens max_tool_calls moderation parallel_tool_calls previous_response_id prompt prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store temperature text "
    "tool_choice tools top_logprobs top_p truncation user client_metadata"
)
_MESSAGES = (
    "model stream max_tokens messages system temperature top_p top_k stop_sequences tools tool_choice thinking "
    "output_config output_format cache_control compaction container context_management diagnostics inference_geo "
    "mcp_servers service_tier speed"
)
# How vLLM, SGLang, llama.cpp, Ollama, OpenRouter and others are told to sample, to think and to keep to a form.
_SAMPLING = (
    "top_k min_p top_a typical_p tfs_z top_n_sigma repetition_penalty repeat_penalty repeat_last_n length_penalty "
    "random_seed do_sample samplers mirostat mirostat_tau mirostat_eta dynatemp_range dynatemp_exponent "
    "xtc_probability xtc_threshold dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers "
    "min_tokens n_predict n_probs prompt_logprobs ignore_eos stop_token_ids include_stop_str_in_output bad_words "
    "allowed_token_ids skip_special_tokens spaces_between_special_tokens use_beam_search best_of echo suffix "
    "add_generation_prompt continue_final_message add_special_tokens truncate_prompt_tokens priority cache_prompt "
    "id_slot timings_per_token grammar json_schema guided_json guided_regex guided_choice guided_grammar "
    "structured_outputs regex ebnf chat_template_kwargs enable_thinking thinking thinking_budget "
    "thinking_budget_tokens thinking_token_budget think reasoning reasoning_format include_reasoning "
    "separate_reasoning prompt_mode safe_prompt provider transforms usage options keep_alive format ttl "
    "thinking_forced_open reasoning_budget reasoning_budget_tokens reasoning_in_content reasoning_split "
    "preserve_thinking clear_thinking disable_reasoning chat_template_args parse_tool_calls tool_stream documents "
    "mm_processor_kwargs guided_decoding_backend guided_whitespace_pattern structural_tag stop_regex no_stop_trim "
    "cache_salt n_keep n_discard n_indent min_keep t_max_predict_ms post_sampling_probs return_progress return_tokens "
    "return_token_ids return_tokens_as_token_ids"
)
_EMBEDDINGS = (
    "model input dimensions encoding_format user input_type truncate truncate_prompt_tokens task task_type "
    "normalize normalized instruction output_dimension output_dtype embedding_type late_chunking add_special_tokens "
    "priority options keep_alive ttl truncation prompt_name modality"
)
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "openai.chat": frozenset(f"{_CHAT} {_SAMPLING}".split()),
    "openai.completions": frozenset(f"{_COMPLETION} prompt prompt_cache_key {_SAMPLING}".split()),
    "openai.responses": frozenset(f"{_RESPONSES} {_SAMPLING}".split()),
    "openai.embeddings": frozenset(_EMBEDDINGS.split()),
    "anthropic.messages": frozenset(_MESSAGES.split()),
}
_MOST_TOLD: Final = 100
"""So many fields at most does the log tell of for each upstream: clients choose their names."""
_METADATA: Final = "metadata"
_TELLABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_log = logging.getLogger("modelbreeder.router")


class FieldTeller:
    """Tells the log once of each field that an upstream does not get."""

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = {}

    def tell(self, upstream: str, names: Sequence[str]) -> None:
        """Tell of the fields of one request, whose names are `tellable`."""
        told = self._told.setdefault(upstream, set())
        new = [name for name in names if name not in told][: _MOST_TOLD - len(told)]
        if new:
            told.update(new)
            key = f"upstreams.{upstream}.pass_fields"
            _log.warning("a request's %s is not passed on to %s; %s may name it", ", ".join(new), upstream, key)


def left_out(surface: str, body: JsonObject, upstream: UpstreamSettings) -> list[str]:
    """Return which fields of a request an upstream does not get, sorted; the user's `pass_fields` are never among them.

    Args:
        surface: the dialect in which the upstream is asked.
        body: the request in that dialect.
        upstream: whom it is for.

    """
    if body.keys() <= FIELDS[surface] or is_own_vendor(surface, upstream.base_url):
        return []
    unknown = sorted(body.keys() - FIELDS[surface] - set(upstream.pass_fields))
    return [name for name in unknown if name != _METADATA or not _is_plain(body[_METADATA])]


def without(body: JsonObject, names: list[str]) -> JsonObject:
    """Return a request less some fields, the same object where there are none."""
    return {name: value for name, value in body.items() if name not in names} if names else body


def tellable(names: list[str]) -> list[str]:
    """Return those of some names that may stand in a header or a line of the log: what looks like a field's name."""
    return [name for name in names if _TELLABLE.fullmatch(name)]


def _is_plain(metadata: Json) -> bool:
    """Say whether metadata hold nothing but our own hints and a user's id: what else may steer a proxy's callbacks."""
    rest = without_hints(metadata)
    return rest is None or (isinstance(rest, dict) and rest.keys() <= {"user_id"})
