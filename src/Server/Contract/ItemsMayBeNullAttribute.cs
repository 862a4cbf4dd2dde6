namespace Understory.Server.Contract;

/// <summary>A list of an answer whose items may be null: of references the compiler keeps that to itself.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ItemsMayBeNullAttribute : Attribute;
