using Understory.Server.Wire;
using static Understory.Server.Wire.Parameter;

namespace Understory.Server.OpenAi;

/// <summary>
/// Fields that other servers have beside OpenAI's: llama.cpp, Ollama, vLLM, SGLang and text-generation-webui. What would change the answer
/// and is not done here is let through where it asks for nothing, and else refused: their clients send neutral values by default.
/// </summary>
internal static class OtherServers
{
    public static Shape Penalty { get; } = Shape.Number(0.01, 100, " (1 is none)");

    public static Shape Length { get; } = Shape.Integer(-1, int.MaxValue, " (-1 is no limit)");

    private static readonly Shape Zero = Shape.Exactly(0);
    private static readonly Shape One = Shape.Exactly(1);
    private static readonly Shape EmptyObject = Shape.Map("^$", Shape.Null, "{}");

    /// <summary>How tokens are chosen.</summary>
    public static IReadOnlyList<Parameter> Sampling { get; } =
    [
        Honoured("repeat_penalty", Penalty, "As repetition_penalty, which wins over it, but over the last 64 tokens unless repeat_last_n "
            + "says otherwise."),
        Honoured("repeat_last_n", Shape.Integer(-1), "Tokens, of prompt and answer, that the repetition penalty looks back at: -1 is all, "
            + "0 none, so no penalty. presence_penalty and frequency_penalty hold for the whole answer."),
        Honoured("penalty_last_n", Shape.Integer(-1), "Another name of repeat_last_n."),
        Refused("mirostat", Zero),
        Ignored("mirostat_tau", "Goes with mirostat."),
        Ignored("mirostat_eta", "Goes with mirostat."),
        Refused("mirostat_mode", Zero),
        Refused("dry_multiplier", Zero),
        Ignored("dry_base", "Goes with dry_multiplier."),
        Ignored("dry_allowed_length", "Goes with dry_multiplier."),
        Ignored("dry_penalty_last_n", "Goes with dry_multiplier."),
        Ignored("dry_sequence_breakers", "Goes with dry_multiplier."),
        Refused("xtc_probability", Zero),
        Ignored("xtc_threshold", "Goes with xtc_probability."),
        Refused("typical_p", One),
        Refused("typical", One),
        Refused("tfs_z", One),
        Refused("tfs", One),
        Refused("top_a", Zero),
        Refused("top_n_sigma", Shape.Number(-1, 0)),
        Refused("dynatemp_range", Zero),
        Ignored("dynatemp_exponent", "Goes with dynatemp_range."),
        Refused("dynamic_temperature", Shape.False),
        Refused("smoothing_factor", Zero),
        Refused("epsilon_cutoff", Zero),
        Refused("eta_cutoff", Zero),
        Refused("penalty_alpha", Zero),
        Refused("guidance_scale", One),
        Refused("adaptive_target", Shape.Number(-1e9, 0)),
        Refused("length_penalty", One),
        Refused("use_beam_search", Shape.False),
        Refused("min_tokens", Zero),
        Refused("min_keep", Shape.Integer(0, 1)),
        Refused("samplers", Shape.EmptyList),
        Refused("logits_processors", Shape.EmptyList),
        Refused("custom_logit_processor", Shape.Null),
        Refused("custom_params", Shape.Null),
        Refused("allowed_token_ids", Shape.EmptyList),
        Refused("bad_words", Shape.EmptyList),
        Refused("stop_token_ids", Shape.EmptyList, "is not supported by this server; use stop."),
        Refused("stop_regex", Shape.EmptyList, "is not supported by this server; use stop."),
        Refused("include_stop_str_in_output", Shape.False),
        Refused("no_stop_trim", Shape.False),
        Refused("ban_eos_token", Shape.False, "is not supported by this server; use ignore_eos."),
        Refused("n_indent", Zero),
        Refused("n_cmpl", Shape.Integer(1, 1), "is not supported by this server; use n."),
        Refused("grammar_lazy", Shape.False, "is not supported by this server: a grammar holds from the first token on; leave it out."),
        Refused("grammar_triggers", Shape.EmptyList, "is not supported by this server: a grammar holds from the first token on."),
        Refused("image_data", Shape.EmptyList, "is not supported: this server reads texts alone; leave it out."),
        Refused("multimodal_data", Shape.EmptyList, "is not supported: this server reads texts alone; leave it out."),
        Refused("vllm_xargs", EmptyObject),
        Refused("no_repeat_ngram_size", Zero),
        Refused("encoder_repetition_penalty", One),
        Refused("repetition_penalty_range", Zero, "is not supported by this server; use repeat_last_n."),
        Refused("do_sample", Shape.True, "is not supported by this server; send \"temperature\": 0."),
        Refused("stopping_strings", Shape.EmptyList, "is not supported by this server; use stop."),
        Refused("n_probs", Zero, "is not supported by this server; use logprobs."),
        Refused("post_sampling_probs", Shape.False),
        Refused("prompt_logprobs", Shape.Null, "is not supported by this server; completions with echo and logprobs score the prompt."),
        Refused("skip_special_tokens", Shape.True),
        Ignored("spaces_between_special_tokens", "There are none in the text."),
        Ignored("cache_prompt", "Every prompt is looked up in the prefix cache, which never changes the text."),
        Ignored("id_slot", "There is one."),
        Ignored("n_keep", "A context is never shifted."),
        Ignored("n_discard", "A context is never shifted."),
        Ignored("n_cache_reuse", "The prefix cache never changes the text."),
        Ignored("cache_salt", "The prefix cache never changes the text."),
        Ignored("timings_per_token", "The last chunk carries timings."),
        Refused("t_max_predict_ms", Shape.Integer(-1, 0), "is not supported by this server; use max_tokens."),
        Refused("lora", Shape.EmptyList),
        Refused("lora_path", Shape.Null),
        Refused("session_params", Shape.Null),
        Refused("response_fields", Shape.EmptyList),
        Refused("return_tokens", Shape.False),
        Refused("return_token_ids", Shape.False),
        Refused("return_tokens_as_token_ids", Shape.False),
        Refused("return_hidden_states", Shape.False),
        Refused("return_progress", Shape.False),
        Refused("truncate_prompt_tokens", Shape.Null, "is not supported by this server; send a shorter prompt."),
        Refused("structural_tag", Shape.Null),
        Refused("kv_transfer_params", EmptyObject),
        Ignored("priority", "Requests are taken in the order in which they come."),
        Ignored("request_id", "The header x-request-id says it."),
        Ignored("rid", "The header x-request-id says it."),
        Ignored("guided_decoding_backend", "There is one."),
        Refused("guided_whitespace_pattern", Shape.Null),
        Ignored("keep_alive", "The model stays loaded."),
    ];

    /// <summary>Lengths, by other names.</summary>
    public static IReadOnlyList<Parameter> Lengths { get; } =
    [
        Honoured("n_predict", Length, "Another name of max_tokens, which wins over it."),
        Honoured("num_predict", Length, "Another name of max_tokens, which wins over it."),
    ];

    /// <summary>Of chats alone.</summary>
    public static IReadOnlyList<Parameter> Chat { get; } =
    [
        Honoured("continue_final_message", Shape.Flag,
            "True: the answer goes on with the last message, which must be the assistant's; beside \"add_generation_prompt\": false."),
        Honoured("add_generation_prompt", Shape.Flag, "False only beside \"continue_final_message\": true."),
        Honoured("documents", Shape.List(Shape.FreeObject), "Given to the chat template."),
        Honoured("enable_thinking", Shape.Flag, "As in chat_template_kwargs."),
        Honoured("thinking", Shape.Tagged("type", "an object whose type is \"enabled\", \"adaptive\" or \"disabled\"", null,
            (["enabled", "adaptive", "disabled"], [])), "Whether a model that can think does so."),
        Honoured("reasoning", Shape.Object(Honoured("effort", ChatParameters.Efforts, "Another name of reasoning_effort.")),
            "Another place of reasoning_effort, which wins over it."),
        Refused("chat_template", Shape.Null, "is not supported by this server, which renders by the model's own; send a prompt to "
            + "/v1/completions."),
        Refused("echo", Shape.False),
        Refused("add_special_tokens", Shape.False, "is not supported by this server: the chat template writes them."),
        Refused("reasoning_format", Shape.OneOf("auto", "deepseek"), "is not supported by this server: thoughts come as "
            + "reasoning_content."),
        Refused("thinking_forced_open", Shape.False),
        Refused("parse_tool_calls", Shape.True),
        Refused("separate_reasoning", Shape.True),
        Refused("stream_reasoning", Shape.True),
        Refused("include_reasoning", Shape.True),
        Refused("thinking_token_budget", Shape.Null),
        Refused("thinking_budget", Shape.Null),
        Refused("reasoning_budget", Shape.Integer(-1, -1)),
        Ignored("mm_processor_kwargs", "Texts alone are read."),
        Ignored("media_io_kwargs", "Texts alone are read."),
    ];
}
