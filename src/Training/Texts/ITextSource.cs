namespace Understory.Training.Texts;

/// <summary>
/// Where texts to train on come from. A text ends where the model should end it: the trainer puts its end-of-text token behind each.
/// </summary>
public interface ITextSource
{
    /// <summary>What the curves and the card call it.</summary>
    string Name { get; }

    /// <summary>Texts in the order of training: the same for the same seed. They may go on for ever.</summary>
    IEnumerable<string> Texts(int seed);

    /// <summary>Texts that are never among <see cref="Texts"/>, to measure on.</summary>
    IEnumerable<string> HeldOut();
}
