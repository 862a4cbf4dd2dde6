namespace Understory.Training.Tests;

/// <summary>A test that asks apt; skipped where it is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class DebianFactAttribute : FactAttribute
{
    public DebianFactAttribute() => Skip = File.Exists("/usr/bin/apt-get") ? null : "apt-get is not installed";
}
