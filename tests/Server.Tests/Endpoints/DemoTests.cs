using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Endpoints;

/// <summary>The whole way of a request, with the demo bundle.</summary>
[Collection(DemoCollection.Name)]
public sealed class DemoTests(DemoServer server)
{
    private const string Prompt = "\"prompt\": \"def add(a, b):\\n    return\", \"ignore_eos\": true";

    [Theory]
    [InlineData("\"temperature\": 0")]
    [InlineData("\"temperature\": 1, \"top_k\": 50, \"seed\": 11")]
    [InlineData("\"temperature\": 0.7, \"top_p\": 0.9, \"seed\": 3, \"frequency_penalty\": 0.5")]
    public async Task Speculation_never_changes_the_text(string sampling)
    {
        string fields = $"{Prompt}, \"max_tokens\": 60, {sampling}";
        string[] plain = await server.TextsAsync($"{fields}, \"speculation\": \"off\"");
        Assert.NotEmpty(plain[0]);
        foreach (string mode in (string[])["ngram", "draft", "staged", "auto"])
        {
            Assert.Equal(plain, await server.TextsAsync($"{fields}, \"speculation\": \"{mode}\""));
        }

        Assert.Equal(plain, await server.TextsAsync($"{fields}, \"speculation\": \"staged\", \"speculation_nodes\": 12"));
    }

    [Fact]
    public async Task A_stream_says_the_same_as_a_plain_answer()
    {
        string fields = $"{Prompt}, \"max_tokens\": 40, \"seed\": 4, \"n\": 2";
        string[] plain = await server.TextsAsync(fields);
        List<JsonNode> chunks = await (await server.PostAsync("/v1/completions", $"{{{fields}, \"stream\": true}}")).ChunksAsync();
        var streamed = new StringBuilder[] { new(), new() };
        foreach (JsonNode choice in chunks.SelectMany(chunk => chunk["choices"]!.AsArray())!)
        {
            streamed[(int)choice["index"]!].Append((string)choice["text"]!);
        }

        Assert.Equal(plain, streamed.Select(text => text.ToString()));
        Assert.NotEqual(plain[0], plain[1]);
    }

    [Fact]
    public async Task The_seed_that_was_drawn_repeats_the_answer()
    {
        JsonNode first = await server.CompleteAsync($"{Prompt}, \"max_tokens\": 24");
        ulong seed = (ulong)first["seed"]!;
        JsonNode again = await server.CompleteAsync($"{Prompt}, \"max_tokens\": 24, \"seed\": {seed}");
        Assert.Equal((string)first["choices"]![0]!["text"]!, (string)again["choices"]![0]!["text"]!);
        Assert.Equal((string)first["system_fingerprint"]!, (string)again["system_fingerprint"]!);
    }

    [Fact]
    public async Task Prompts_together_are_answered_as_each_alone()
    {
        const string Rest = "\"max_tokens\": 12, \"seed\": 9, \"n\": 2, \"ignore_eos\": true";
        string[] together = await server.TextsAsync($"\"prompt\": [\"import os\", \"class A:\"], {Rest}");
        string[] first = await server.TextsAsync($"\"prompt\": \"import os\", {Rest}");
        string[] second = await server.TextsAsync($"\"prompt\": \"class A:\", {Rest}");
        Assert.Equal([.. first, .. second], together);
    }

    [Fact]
    public async Task Token_ids_are_as_good_as_text()
    {
        JsonNode tokens = await (await server.PostAsync("/tokenize", "{\"text\": \"for i in range(\"}")).JsonAsync();
        string ids = tokens["tokens"]!.ToJsonString();
        string[] expected = await server.TextsAsync("\"prompt\": \"for i in range(\", \"max_tokens\": 8, \"temperature\": 0");
        Assert.Equal(expected, await server.TextsAsync($"\"prompt\": {ids}, \"max_tokens\": 8, \"temperature\": 0"));
        Assert.Equal(expected, await server.TextsAsync($"\"prompt\": [{ids}], \"max_tokens\": 8, \"temperature\": 0"));
        JsonNode text = await (await server.PostAsync("/detokenize", $"{{\"tokens\": {ids}}}")).JsonAsync();
        Assert.Equal("for i in range(", (string)text["text"]!);
    }

    [Fact]
    public async Task Text_stops_before_a_stop_string()
    {
        string whole = (await server.TextsAsync($"{Prompt}, \"max_tokens\": 40, \"temperature\": 0"))[0];
        string stop = whole.Substring(whole.Length / 2, 3);
        string expected = whole[..whole.IndexOf(stop, StringComparison.Ordinal)];
        string quoted = JsonValue.Create(stop).ToJsonString();
        foreach (string mode in (string[])["off", "staged"])
        {
            JsonNode body = await server.CompleteAsync($"{Prompt}, \"max_tokens\": 40, \"temperature\": 0, \"stop\": [{quoted}, \"never "
                + $"to be seen\"], \"speculation\": \"{mode}\"");
            Assert.Equal(expected, (string)body["choices"]![0]!["text"]!);
            Assert.Equal("stop", (string)body["choices"]![0]!["finish_reason"]!);
        }
    }

    [Fact]
    public async Task Echo_puts_the_prompt_before_the_text()
    {
        const string Rest = "\"max_tokens\": 6, \"temperature\": 0";
        string alone = (await server.TextsAsync($"\"prompt\": \"a = [\", {Rest}"))[0];
        Assert.Equal("a = [" + alone, (await server.TextsAsync($"\"prompt\": \"a = [\", {Rest}, \"echo\": true"))[0]);
        Assert.Equal("a = [", (await server.TextsAsync("\"prompt\": \"a = [\", \"max_tokens\": 0, \"echo\": true"))[0]);
    }

    [Fact]
    public async Task Max_tokens_is_kept_to_and_counted()
    {
        JsonNode body = await server.CompleteAsync($"{Prompt}, \"max_tokens\": 7");
        Assert.Equal("length", (string)body["choices"]![0]!["finish_reason"]!);
        Assert.Equal(7, (int)body["usage"]!["completion_tokens"]!);
        Assert.Equal(7, (int)body["timings"]!["predicted_n"]!);
        Assert.Equal(16, (int)(await server.CompleteAsync(Prompt))["usage"]!["completion_tokens"]!);
    }

    [Fact]
    public async Task More_tokens_than_the_context_holds_end_with_length()
    {
        JsonNode body = await server.CompleteAsync("\"prompt\": \"x\", \"max_tokens\": 1000000, \"ignore_eos\": true, \"temperature\": 0");
        Assert.Equal("length", (string)body["choices"]![0]!["finish_reason"]!);
        Assert.Equal(1024, (int)body["usage"]!["total_tokens"]!);
    }

    [Fact]
    public async Task A_prompt_seen_before_comes_from_the_prefix_cache()
    {
        string words = string.Join(' ', Enumerable.Range(0, 60).Select(i => $"word{i}"));
        string fields = $"\"prompt\": \"{words}\", \"max_tokens\": 8, \"temperature\": 0";
        JsonNode first = await server.CompleteAsync(fields);
        JsonNode second = await server.CompleteAsync(fields);
        Assert.Equal((string)first["choices"]![0]!["text"]!, (string)second["choices"]![0]!["text"]!);
        int prompt = (int)second["usage"]!["prompt_tokens"]!;
        int cached = (int)second["usage"]!["prompt_tokens_details"]!["cached_tokens"]!;
        Assert.Equal(prompt - 1, cached);
        Assert.Equal(prompt, (int)second["timings"]!["prompt_n"]! + (int)second["timings"]!["cache_n"]!);
    }

    [Fact]
    public async Task Log_probabilities_follow_the_text_token_by_token()
    {
        JsonNode choice =
            (await server.CompleteAsync($"{Prompt}, \"max_tokens\": 10, \"temperature\": 0, \"logprobs\": 2"))["choices"]![0]!;
        JsonNode logProbs = choice["logprobs"]!;
        string[] tokens = [.. logProbs["tokens"]!.AsArray().Select(token => (string)token!)];
        float[] chosen = [.. logProbs["token_logprobs"]!.AsArray().Select(value => (float)value!)];
        int[] offsets = [.. logProbs["text_offset"]!.AsArray().Select(value => (int)value!)];
        Assert.Equal(10, tokens.Length);
        Assert.Equal((string)choice["text"]!, string.Concat(tokens));
        Assert.All(chosen, value => Assert.InRange(value, -100, 0));
        for (int i = 0; i < tokens.Length; i++)
        {
            Assert.Equal(tokens.Take(i).Sum(token => token.Length), offsets[i]);
            JsonObject top = logProbs["top_logprobs"]![i]!.AsObject();
            // Greedy: the chosen token is the most probable one.
            Assert.Equal(chosen[i], top.Max(pair => (float)pair.Value!), 1e-4);
            Assert.Contains(tokens[i], top.Select(pair => pair.Key));
        }
    }

    [Fact]
    public async Task Chat_log_probabilities_carry_bytes_and_alternatives()
    {
        const string Body = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"max_tokens\": 5, \"logprobs\": true, "
            + "\"top_logprobs\": 3, \"ignore_eos\": true, \"seed\": 2}";
        JsonNode plain = await (await server.PostAsync("/v1/chat/completions", Body)).JsonAsync();
        JsonArray content = plain["choices"]![0]!["logprobs"]!["content"]!.AsArray();
        Assert.Equal(5, content.Count);
        Assert.All(content, token =>
        {
            byte[] bytes = [.. token!["bytes"]!.AsArray().Select(b => (byte)(int)b!)];
            Assert.Equal((string)token["token"]!, Encoding.UTF8.GetString(bytes));
            Assert.Equal(3, token["top_logprobs"]!.AsArray().Count);
        });
        List<JsonNode> chunks = await (await server.PostAsync("/v1/chat/completions", Body.Insert(1, "\"stream\": true, "))).ChunksAsync();
        string[] streamed = [.. chunks.Select(chunk => chunk["choices"]![0]!["logprobs"]).Where(logProbs => logProbs is not null)
            .SelectMany(logProbs => logProbs!["content"]!.AsArray()).Select(token => token!.ToJsonString())];
        Assert.Equal(content.Select(token => token!.ToJsonString()), streamed);
    }

    [Fact]
    public async Task A_banned_token_does_not_appear()
    {
        JsonNode choice = (await server.CompleteAsync($"{Prompt}, \"max_tokens\": 1, \"temperature\": 0, \"logprobs\": 0"))["choices"]![0]!;
        string text = (string)choice["text"]!;
        JsonNode ids =
            (await (await server.PostAsync("/tokenize", $"{{\"text\": {JsonValue.Create(text).ToJsonString()}}}")).JsonAsync())["tokens"]!;
        int id = (int)ids.AsArray().Single()!;
        Assert.NotEqual(text,
            (await server.TextsAsync($"{Prompt}, \"max_tokens\": 1, \"temperature\": 0, \"logit_bias\": {{\"{id}\": -100}}"))[0]);
        Assert.Equal(
            [string.Concat(Enumerable.Repeat(text, 5))],
            await server.TextsAsync($"{Prompt}, \"max_tokens\": 5, \"temperature\": 0, \"logit_bias\": {{\"{id}\": 100}}"));
    }

    [Fact]
    public async Task Best_of_answers_the_choices_with_the_highest_mean_log_probability_and_counts_all()
    {
        string fields = $"\"prompt\": [\"import os\", \"class A:\"], \"max_tokens\": 10, \"seed\": 8, \"logprobs\": 0";
        JsonArray all = (await server.CompleteAsync($"{fields}, \"n\": 6"))["choices"]!.AsArray();
        string[] expected = [.. all.Chunk(6).SelectMany(prompt => prompt
            .OrderByDescending(choice => choice!["logprobs"]!["token_logprobs"]!.AsArray().Average(value => (double)value!))
            .Take(2).Select(choice => (string)choice!["text"]!))];
        JsonNode best = await server.CompleteAsync($"{fields}, \"n\": 2, \"best_of\": 6");
        JsonArray chosen = best["choices"]!.AsArray();
        Assert.Equal(expected, chosen.Select(choice => (string)choice!["text"]!));
        Assert.Equal([0, 1, 2, 3], chosen.Select(choice => (int)choice!["index"]!));
        Assert.Equal(all.Sum(choice => choice!["logprobs"]!["tokens"]!.AsArray().Count), (int)best["usage"]!["completion_tokens"]!);
        // Without logprobs the same are chosen, and none are told.
        JsonArray silent =
            (await server.CompleteAsync(fields.Replace("\"logprobs\": 0", "\"n\": 2, \"best_of\": 6")))["choices"]!.AsArray();
        Assert.Equal(expected, silent.Select(choice => (string)choice!["text"]!));
        Assert.All(silent, choice => Assert.Null(choice!["logprobs"]));
    }

    [Fact]
    public async Task An_echoed_prompt_is_scored_as_its_tokens_would_have_been_decoded()
    {
        const string Rest = "\"temperature\": 0, \"logprobs\": 2, \"ignore_eos\": true";
        JsonNode decoded = (await server.CompleteAsync($"\"prompt\": \"naïve = [\", \"max_tokens\": 12, {Rest}"))["choices"]![0]!;
        string text = "naïve = [" + (string)decoded["text"]!;
        JsonNode echoed = (
            await server.CompleteAsync($"\"prompt\": {JsonValue.Create("naïve = [").ToJsonString()}, \"max_tokens\": 12, \"echo\": "
                + $"true, {Rest}"))["choices"]![0]!;
        Assert.Equal(text, (string)echoed["text"]!);
        JsonNode logProbs = echoed["logprobs"]!;
        int count = logProbs["tokens"]!.AsArray().Count;
        int prompt = count - 12;
        Assert.Equal((count, count, count),
            (logProbs["token_logprobs"]!.AsArray().Count, logProbs["top_logprobs"]!.AsArray().Count,
                logProbs["text_offset"]!.AsArray().Count));
        Assert.Null(logProbs["token_logprobs"]![0]);
        Assert.Null(logProbs["top_logprobs"]![0]);
        Assert.All(logProbs["top_logprobs"]!.AsArray().Skip(1), top => Assert.InRange(top!.AsObject().Count, 2, 3));
        Assert.Equal(decoded["logprobs"]!["token_logprobs"]!.AsArray().Select(value => (float)value!), logProbs["token_logprobs"]!.AsArray()
            .Skip(prompt).Select(value => (float)value!));

        // Offsets are places in the whole text: each token stands where it says.
        int[] offsets = [.. logProbs["text_offset"]!.AsArray().Select(value => (int)value!)];
        Assert.Equal(0, offsets[0]);
        Assert.Equal("naïve = [".Length, offsets[prompt]);
        foreach ((string token, int offset) in logProbs["tokens"]!.AsArray().Select(token => (string)token!).Zip(offsets)
            .Where(pair => !pair.First.StartsWith("bytes:", StringComparison.Ordinal)))
        {
            Assert.Equal(token, text.Substring(offset, token.Length));
        }

        // As an evaluation harness asks: what was decoded, given as a prompt.
        string ids = (await (await server.PostAsync("/tokenize", new JsonObject { ["text"] = text }.ToJsonString()))
            .JsonAsync())["tokens"]!.ToJsonString();
        JsonNode given = await server.CompleteAsync($"\"prompt\": {ids}, \"max_tokens\": 0, \"echo\": true, {Rest}");
        Assert.Equal(text, (string)given["choices"]![0]!["text"]!);
        Assert.Equal(0, (int)given["usage"]!["completion_tokens"]!);
        Assert.Equal(JsonNode.Parse(ids)!.AsArray().Count, given["choices"]![0]!["logprobs"]!["token_logprobs"]!.AsArray().Count);

        List<JsonNode> chunks = await (
            await server.PostAsync("/v1/completions",
                $"{{\"prompt\": {ids}, \"max_tokens\": 3, \"echo\": true, \"stream\": true, {Rest}}}")).ChunksAsync();
        JsonNode whole = (await server.CompleteAsync($"\"prompt\": {ids}, \"max_tokens\": 3, \"echo\": true, {Rest}"))["choices"]![0]!;
        Assert.Equal((string)whole["text"]!, string.Concat(chunks.Select(chunk => (string)chunk["choices"]![0]!["text"]!)));
        foreach (string list in (string[])["tokens", "token_logprobs", "top_logprobs", "text_offset"])
        {
            JsonNode?[] streamed = [.. chunks.Select(chunk => chunk["choices"]![0]!["logprobs"]).Where(part => part is not null)
                .SelectMany(part => part![list]!.AsArray())];
            Assert.Equal(whole["logprobs"]![list]!.ToJsonString(),
                $"[{string.Join(',', streamed.Select(item => item?.ToJsonString() ?? "null"))}]");
        }
    }

    [Fact]
    public async Task A_predicted_answer_never_changes_the_text_and_its_fate_is_told()
    {
        const string Body = "\"messages\": [{\"role\": \"user\", \"content\": \"def add(a, b):\"}], \"max_tokens\": 60, \"temperature\": "
            + "0, \"ignore_eos\": true, \"speculation\": \"ngram\"";
        async Task<(string Text, int Accepted, int Rejected)> AskAsync(string more)
        {
            JsonNode answer = await (await server.PostAsync("/v1/chat/completions", $"{{{Body}{more}}}")).JsonAsync();
            JsonNode details = answer["usage"]!["completion_tokens_details"]!;
            return ((string)answer["choices"]![0]!["message"]!["content"]!, (int)details["accepted_prediction_tokens"]!,
                (int)details["rejected_prediction_tokens"]!);
        }

        (string text, int accepted, int rejected) = await AskAsync("");
        Assert.Equal((0, 0), (accepted, rejected));
        string content = JsonValue.Create(text).ToJsonString();
        (string predicted, accepted, _) = await AskAsync($", \"prediction\": {{\"type\": \"content\", \"content\": {content}}}");
        Assert.Equal(text, predicted);
        Assert.InRange(accepted, 10, 60);
        (string inParts, int again, _) =
            await AskAsync($", \"prediction\": {{\"type\": \"content\", \"content\": [{{\"type\": \"text\", \"text\": {content}}}]}}");
        Assert.Equal(text, inParts);
        Assert.InRange(again, 10, 60);
        (string wrong, accepted, _) =
            await AskAsync(", \"prediction\": {\"type\": \"content\", \"content\": \"Zebras do not fly over purple mountains.\"}");
        Assert.Equal(text, wrong);
        Assert.InRange(accepted, 0, 2);
    }

    [Fact]
    public async Task Text_beyond_ASCII_survives_the_round_trip()
    {
        const string Text = "naïve Übergröße 日本語 😀";
        string body = $"{{\"prompt\": \"{Text}\", \"echo\": true, \"max_tokens\": 20, \"ignore_eos\": true, \"seed\": 1}}";
        string raw = await (await server.PostAsync("/v1/completions", body)).Content.ReadAsStringAsync();
        Assert.Contains(Text, raw);
        List<JsonNode> chunks = await (await server.PostAsync("/v1/completions", body.Insert(1, "\"stream\": true, "))).ChunksAsync();
        Assert.Equal((string)JsonNode.Parse(raw)!["choices"]![0]!["text"]!,
            string.Concat(chunks.Select(chunk => (string)chunk["choices"]![0]!["text"]!)));
    }

    [Fact]
    public async Task The_model_goes_by_its_id_by_its_alias_or_by_no_name()
    {
        JsonArray models = (await (await server.Client.GetAsync("/v1/models")).JsonAsync())["data"]!.AsArray();
        Assert.Equal(["understory-demo", "demo"], models.Select(model => (string)model!["id"]!));
        foreach (string name in (string[])["\"model\": \"understory-demo\", ", "\"model\": \"demo\", ", "\"model\": null, ", ""])
        {
            Assert.Single(await server.TextsAsync($"{name}\"prompt\": \"x\", \"max_tokens\": 1"));
        }

        Assert.Equal("demo", (string)(await (await server.Client.GetAsync("/v1/models/demo")).JsonAsync())["id"]!);
    }

    [Fact]
    public async Task Unknown_fields_nulls_and_an_empty_prompt_are_fine()
    {
        Assert.Single(await server.TextsAsync("\"prompt\": \"\", \"max_tokens\": 2, \"whatever\": {\"a\": [1]}, \"user\": \"me\", "
            + "\"temperature\": null, \"stop\": null, \"seed\": null, \"best_of\": 1, \"n\": 1"));
        Assert.Single(await server.TextsAsync("\"max_tokens\": 2"));
        HttpResponseMessage chat = await server.PostAsync(
            "/v1/chat/completions",
            "{\"messages\": [{\"role\": \"developer\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}]}, {\"role\": \"user\", "
                + "\"content\": \"b\", \"name\": \"c\"}], \"max_completion_tokens\": 2, \"tools\": [], \"tool_choice\": \"none\", "
                + "\"response_format\": {\"type\": \"text\"}, \"store\": false}");
        Assert.Equal(HttpStatusCode.OK, chat.StatusCode);
    }

    [Fact]
    public async Task A_byte_order_mark_does_no_harm_and_health_answers_HEAD()
    {
        using var content = new ByteArrayContent([0xEF, 0xBB, 0xBF, .. "{\"text\": \"x\"}"u8]);
        Assert.Equal(HttpStatusCode.OK, (await server.Client.PostAsync("/tokenize", content)).StatusCode);
        using var head = new HttpRequestMessage(HttpMethod.Head, "/health");
        Assert.Equal(HttpStatusCode.OK, (await server.Client.SendAsync(head)).StatusCode);
    }

    [Fact]
    public async Task Figures_add_up()
    {
        JsonNode body = await server.CompleteAsync($"{Prompt}, \"max_tokens\": 40, \"speculation\": \"staged\", \"temperature\": 0");
        JsonNode timings = body["timings"]!;
        Assert.InRange((double)timings["tokens_per_batch"]!, 1, 64);
        Assert.InRange((int)timings["target_passes"]!, 1, 40);
        Assert.Equal((long)timings["draft_n"]!, timings["stages"]!.AsArray().Sum(stage => (long)stage!["proposed"]!));
        Assert.Equal((long)timings["draft_n_accepted"]!, timings["stages"]!.AsArray().Sum(stage => (long)stage!["accepted"]!));
        string metrics = await server.Client.GetStringAsync("/metrics");
        foreach (string name in (string[])
            ["requests_total{endpoint=\"/v1/completions\",status=\"200\"}", "queue_depth", "queue_wait_seconds_count",
                "time_to_first_token_seconds_count",
            "inter_token_seconds_count", "request_seconds_count", "prompt_tokens_total", "generated_tokens_total",
            "cached_prompt_tokens_total", "target_passes_total",
            "tokens_per_batch_count", "tree_nodes_count", "draft_tokens_proposed_total{stage=\"draft\"}",
            "draft_tokens_accepted_total{stage=\"draft\"}",
            "pass_seconds_count{model=\"target\"}", "pass_seconds_count{model=\"draft\"}", "kv_cache_tokens"])
        {
            Assert.Contains($"\nunderstory_{name} ", metrics);
        }
    }

    [Fact]
    public async Task A_client_that_leaves_frees_the_worker()
    {
        // Minutes of work: if it were done, the next request would run into its client's timeout.
        string prompts = string.Join(',', Enumerable.Repeat("\"x\"", 8));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent($"{{\"prompt\": [{prompts}], \"max_tokens\": 4000, \"n\": 128, \"ignore_eos\": true, "
                + "\"stream\": true}", Encoding.UTF8, "application/json"),
        };
        using (HttpResponseMessage response = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            Assert.StartsWith("data: ", await reader.ReadLineAsync());
        }

        JsonNode next = await server.CompleteAsync("\"prompt\": \"y\", \"max_tokens\": 1");
        Assert.Single(next["choices"]!.AsArray());
        await ScriptedServer.UntilAsync(() =>
            server.Client.GetStringAsync("/metrics").Result.Contains("endpoint=\"/v1/completions\",status=\"499\"",
                StringComparison.Ordinal));
    }
}
