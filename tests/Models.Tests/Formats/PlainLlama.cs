using System.Text.Json;
using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats;

/// <summary>A Llama in plain loops and double precision: what the weights of a file compute, whoever reads them.</summary>
internal sealed class PlainLlama(JsonElement config, Func<string, int[], float[][]> weights)
{
    private readonly int _hidden = config.GetProperty("hidden_size").GetInt32();
    private readonly int _heads = config.GetProperty("num_attention_heads").GetInt32();
    private readonly int _keyHeads = config.GetProperty("num_key_value_heads").GetInt32();
    private readonly int _wide = config.GetProperty("intermediate_size").GetInt32();
    private readonly double _epsilon = config.GetProperty("rms_norm_eps").GetDouble();
    private readonly double _theta = config.GetProperty("rope_parameters").GetProperty("rope_theta").GetDouble();

    private int Head => _hidden / _heads;

    private bool AttentionBias => Flag("attention_bias");

    private bool MlpBias => Flag("mlp_bias");

    /// <summary>The values of a tensor of a source, under names as Hugging Face has them.</summary>
    public static Func<string, int[], float[][]> From(ITensorSource source) => (name, shape) =>
    {
        StoredTensor stored = source.Read(name, shape);
        float[][] rows = [.. Enumerable.Range(0, stored.Rows).Select(row => stored.Row(row))];
        source.Release(stored);
        return rows;
    };

    /// <summary><c>[ids.Length][vocabulary]</c></summary>
    public double[][] Logits(int[] ids)
    {
        int vocabulary = config.GetProperty("vocab_size").GetInt32();
        float[][] embedding = weights("model.embed_tokens.weight", [vocabulary, _hidden]);
        double[][] rows = [.. ids.Select(id => Array.ConvertAll(embedding[id], value => (double)value))];
        for (int layer = 0; layer < config.GetProperty("num_hidden_layers").GetInt32(); layer++)
        {
            string prefix = $"model.layers.{layer}.";
            double[][] inputs = Norm(rows, prefix + "input_layernorm");
            double[][] queries = Rotate(Product(inputs, prefix + "self_attn.q_proj", _hidden, _hidden, AttentionBias));
            double[][] keys = Rotate(Product(inputs, prefix + "self_attn.k_proj", _keyHeads * Head, _hidden, AttentionBias));
            double[][] values = Product(inputs, prefix + "self_attn.v_proj", _keyHeads * Head, _hidden, AttentionBias);
            rows = Add(rows, Product(Attend(queries, keys, values), prefix + "self_attn.o_proj", _hidden, _hidden, AttentionBias));
            inputs = Norm(rows, prefix + "post_attention_layernorm");
            double[][] gate = Product(inputs, prefix + "mlp.gate_proj", _wide, _hidden, MlpBias);
            double[][] up = Product(inputs, prefix + "mlp.up_proj", _wide, _hidden, MlpBias);
            double[][] gated = [.. gate.Zip(up, (a, b) => a.Zip(b, (x, y) => x / (1 + Math.Exp(-x)) * y).ToArray())];
            rows = Add(rows, Product(gated, prefix + "mlp.down_proj", _hidden, _wide, MlpBias));
        }

        return Product(Norm(rows, "model.norm"), "lm_head", vocabulary, _hidden);
    }

    private bool Flag(string key) => config.TryGetProperty(key, out JsonElement flag) && flag.GetBoolean();

    private static double[][] Add(double[][] a, double[][] b) => [.. a.Zip(b, (x, y) => x.Zip(y, (u, v) => u + v).ToArray())];

    private double[][] Norm(double[][] rows, string name)
    {
        float[] weight = weights(name + ".weight", [_hidden])[0];
        return Array.ConvertAll(rows, row =>
        {
            double scale = 1 / Math.Sqrt((row.Sum(x => x * x) / row.Length) + _epsilon);
            return row.Select((x, i) => x * scale * weight[i]).ToArray();
        });
    }

    private double[][] Product(double[][] rows, string name, int outputs, int inputs, bool hasBias = false)
    {
        float[][] matrix = weights(name + ".weight", [outputs, inputs]);
        float[] bias = hasBias ? weights(name + ".bias", [outputs])[0] : new float[outputs];
        return Array.ConvertAll(rows, row => matrix.Select((output, o) =>
        {
            double sum = bias[o];
            for (int i = 0; i < row.Length; i++)
            {
                sum += row[i] * output[i];
            }

            return sum;
        }).ToArray());
    }

    /// <summary>Halves (i, i + Head / 2) of each head are turned by position / theta^(2 i / Head).</summary>
    private double[][] Rotate(double[][] rows)
    {
        for (int position = 0; position < rows.Length; position++)
        {
            for (int start = 0; start < rows[position].Length; start += Head)
            {
                for (int i = 0; i < Head / 2; i++)
                {
                    (double sin, double cos) = Math.SinCos(position / Math.Pow(_theta, 2.0 * i / Head));
                    ref double first = ref rows[position][start + i];
                    ref double second = ref rows[position][start + i + (Head / 2)];
                    (first, second) = ((first * cos) - (second * sin), (second * cos) + (first * sin));
                }
            }
        }

        return rows;
    }

    private double[][] Attend(double[][] queries, double[][] keys, double[][] values)
    {
        double[][] results = Array.ConvertAll(queries, query => new double[query.Length]);
        for (int position = 0; position < queries.Length; position++)
        {
            for (int head = 0; head < _heads; head++)
            {
                int keyStart = head / (_heads / _keyHeads) * Head;
                ArraySegment<double> query = new(queries[position], head * Head, Head);
                double[] scores = [.. Enumerable.Range(0, position + 1).Select(other =>
                    Math.Exp(query.Select((value, i) => value * keys[other][keyStart + i]).Sum() / Math.Sqrt(Head)))];
                double sum = scores.Sum();
                for (int i = 0; i < Head; i++)
                {
                    results[position][(head * Head) + i] = scores.Select((score, other) => score * values[other][keyStart + i]).Sum() / sum;
                }
            }
        }

        return results;
    }
}
