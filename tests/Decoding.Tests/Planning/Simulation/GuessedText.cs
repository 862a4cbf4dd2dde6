namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>How well a text can be guessed.</summary>
internal enum Guessing
{
    Constant,
    Bursty,
    Copying,
    Random,
    Falling,

    /// <summary>All that is proposed is wrong, and said to be nearly sure.</summary>
    Nothing,
}

/// <summary>
/// A text whose right token at a position is <see cref="Token"/>, and what drafters guess of it. Whether the draft's guess is right is a
/// coin of the position, the same for whoever asks, at whatever depth and in whatever step.
/// </summary>
internal sealed class GuessedText
{
    /// <summary>Ids of right tokens; wrong ones are above.</summary>
    public const int Vocabulary = 1000;

    /// <summary>The draft's second candidate is right where the first is not in so many of the cases.</summary>
    private const double Second = 0.4;

    private readonly Guessing _kind;
    private readonly double[] _coins;
    private readonly double[] _chance;
    private readonly float[] _said;
    private readonly bool[] _copied;

    /// <param name="length">Tokens behind the prompt.</param>
    /// <param name="prompt">Tokens of it.</param>
    public GuessedText(Guessing kind, int length, int seed, int prompt = 16)
    {
        Prompt = prompt;
        var random = new Random((seed * 31) + (int)kind);
        int room = prompt + length + 80;
        _kind = kind;
        _coins = new double[room];
        _chance = new double[room];
        _said = new float[room];
        _copied = new bool[room];
        bool good = random.Next(2) == 0;
        for (int position = 0; position < room; position++)
        {
            if (random.Next(24) == 0)
            {
                good = !good;
            }

            _coins[position] = random.NextDouble();
            _copied[position] = kind == Guessing.Copying && good && random.NextDouble() < 0.95;
            _chance[position] = kind switch
            {
                Guessing.Constant => 0.7,
                Guessing.Bursty => good ? 0.9 : 0.1,
                Guessing.Copying => 0.5,
                Guessing.Random => 0.02,
                Guessing.Nothing => 0,
                _ => 0.85,
            };
            // What a draft says of itself is near the truth, but where nobody can guess it is far too sure.
            double said = kind switch { Guessing.Random => 0.35, Guessing.Nothing => 0.9, _ => _chance[position] };
            _said[position] = (float)Math.Clamp(said + (0.3 * (random.NextDouble() - 0.5)), 0.03, 0.97);
        }
    }

    /// <summary>Tokens of the prompt.</summary>
    public int Prompt { get; }

    /// <summary>What stands before in the text is wrong here, and as sure as where it is copied.</summary>
    public bool Misleads => _kind == Guessing.Nothing;

    public static int Token(int position) => position % Vocabulary;

    /// <summary>Is the text in a passage that stood before?</summary>
    public bool Copied(int position) => _copied[position];

    /// <summary>What the draft says of its first candidate.</summary>
    public float Said(int position) => _said[position];

    /// <summary>Which of the draft's candidates is right; -1: none.</summary>
    /// <param name="depth">Tokens that it had to guess before this one.</param>
    public int Place(int position, int depth)
    {
        double chance = _chance[position] * (_kind == Guessing.Falling ? Math.Pow(0.75, depth) : 1);
        double left = _coins[position] - chance;
        return left < 0 ? 0 : left < (1 - chance) * chance * Second ? 1 : -1;
    }
}
