using Understory.Training.Curriculum;

namespace Understory.Training.Tests;

/// <summary>A test that asks Python; skipped where it is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PythonFactAttribute : FactAttribute
{
    public PythonFactAttribute() => Skip = PythonCheck.IsThere ? null : "python3 is not installed";
}
