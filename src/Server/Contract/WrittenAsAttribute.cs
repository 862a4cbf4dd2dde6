namespace Understory.Server.Contract;

/// <summary>The JSON Schema of a member that a converter of its own writes: the serializer's contract does not tell.</summary>
/// <param name="schema">As JSON.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class WrittenAsAttribute(string schema) : Attribute
{
    public string Schema { get; } = schema;
}
